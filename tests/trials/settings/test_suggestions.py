"""What was meant by a word that is not known: the nearest key, and of equals the one that is declared first."""

import os
import subprocess
import sys

import pytest

from trials.settings.suggestions import did_you_mean

KNOWN = ["search.epochs", "search.batch_size", "tuning.epochs"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("search.epcohs", "; did you mean search.epochs?"),
        ("epochs", "; did you mean search.epochs?"),
        ("tuning.epoch", "; did you mean tuning.epochs?"),
        ("batchsize", "; did you mean search.batch_size?"),
        ("zzz", ""),
    ],
)
def test_the_nearest_key_is_told(word: str, told: str) -> None:
    assert did_you_mean(word, KNOWN) == told


def test_what_is_told_does_not_change_with_the_order_of_hashes() -> None:
    program = """
from trials.settings.reader import read_settings
try:
    read_settings(["--epochs", "3"])
except Exception as problem:
    print(problem)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "3")  # which order search.epochs and tuning.epochs differently in a set
    }
    assert told == {"there is no setting epochs; did you mean search.epochs?\n"}
