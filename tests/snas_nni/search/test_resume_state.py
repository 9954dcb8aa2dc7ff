"""All random states of a process, in a file without code."""

import random
from pathlib import Path

import numpy as np
import torch

from snas_nni.search.resume_state import random_state, set_random_state


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.rand(()))]


def test_the_same_numbers_come_again(tmp_path: Path) -> None:
    draws()  # leaves a second normal number waiting in NumPy
    torch.save(random_state(), tmp_path / "state")
    expected = draws() + draws()
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert draws() + draws() == expected
