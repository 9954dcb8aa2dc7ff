"""Some hundred damaged files of every kind; `make test-faults` reads thousands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_damaged_files_are_accepted_or_refused_and_nothing_else_happens() -> None:
    # A process of its own: Python's audit hooks, which watch what a file makes happen, cannot be taken away again.
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.faults.inputs", "396"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.stdout, result.stderr
    found = json.loads(result.stdout)
    assert found["problems"] == []
    assert found["imported"] == []
    assert found["written_outside"] == []
    assert found["tracebacks"] == 0
    assert found["tried"] >= 396
    assert found["accepted"] + found["refused"] == found["tried"]
    assert len(found["by_kind"]) == 18
    for kind, counts in found["by_kind"].items():
        assert counts["tried"] >= 22, kind
        assert counts["accepted"] >= 1, kind
        # A report says what is wrong with a run's file, and shows the rest.
        assert counts["refused"] >= (0 if kind.startswith("report") else 8), kind
    assert result.returncode == 0
