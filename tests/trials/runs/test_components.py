"""Spaces are found by their path and fitted to the data."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from search_spaces import SnasCellSpace
from snas_nni.errors import SettingError
from trials.data.types import ClassificationData, LabelledTensors
from trials.runs.components import make_space
from trials.settings.search import SpaceSettings


def data(channels: int = 1, classes: int = 4) -> ClassificationData:
    split = LabelledTensors(torch.zeros(8, channels, 8, 8), torch.arange(8) % classes)
    return ClassificationData(split, split, split, tuple("abcdefgh"[:classes]))


def test_channels_and_classes_come_from_the_data() -> None:
    small = {"channels": 2, "cells": 1, "nodes": 1}
    space = make_space(SpaceSettings(init_args=small), data(channels=1, classes=4))
    assert space.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 4)


def test_given_arguments_win() -> None:
    small = {"channels": 2, "cells": 1, "nodes": 1, "classes": 9}
    space = make_space(SpaceSettings(init_args=small), data())
    assert space.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 9)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (SpaceSettings(class_path="no_such.Space"), "no_such"),
        (SpaceSettings(class_path="search_spaces.NoSpace"), "NoSpace"),
        (SpaceSettings(class_path="torch.nn.Linear"), "not a ModelSpace"),
        (SpaceSettings(class_path="Space"), "class_path"),
        (SpaceSettings(init_args={"widht": 3}), r"space\.init_args\.widht"),
        (SpaceSettings(init_args={"channels": 0}), "channels"),
    ],
)
def test_mistakes_are_named(settings: SpaceSettings, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        make_space(settings, data())


class TwoInputs(SnasCellSpace):
    def forward(self, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return super().forward(left + scale * right)


def test_a_space_of_several_inputs_is_refused_in_one_line() -> None:
    with pytest.raises(
        SettingError, match=r"TwoInputs needs 2 inputs \(left, right\), .* Join several inputs"
    ) as refused:
        make_space(SpaceSettings(class_path=f"{__name__}.TwoInputs"), data())
    assert "\n" not in str(refused.value)


def test_current_folder_is_searched_last(tmp_path: Path) -> None:
    """A user's folder called like a package of this project must not hide it."""
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "__init__.py").write_text("raise ImportError('the wrong one')")
    (tmp_path / "my_space.py").write_text("class MySpace: pass")
    program = (
        "from trials.settings.user_code import add_current_folder_to_path as add; add();"
        "import search_spaces, my_space; print(search_spaces.SnasCellSpace.__name__, my_space.MySpace.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["SnasCellSpace", "MySpace"], done.stderr
