"""A search with the settings as they come decides; one that does not says so."""

import csv
import json
from pathlib import Path

import pytest

SPACE = """
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


class TinySpace(ModelSpace):
    def __init__(self, in_channels: int = 1, classes: int = 10):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.middle = LayerChoice(
            {"conv3": nn.Conv2d(16, 16, 3, padding=1), "conv5": nn.Conv2d(16, 16, 5, padding=2), "skip": nn.Identity()},
            label="middle",
        )
        self.head = nn.Linear(16, classes)

    def forward(self, images):
        return self.head(self.middle(self.stem(images)).relu().mean((2, 3)))
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny_space.py").write_text(SPACE)


def last_share(run: Path) -> float:
    with (run / "metrics.csv").open() as file:
        return [float(row["search/entropy_share"]) for row in csv.DictReader(file) if row["search/entropy_share"]][-1]


def test_ten_epochs_on_digits_decide(verb, tmp_path: Path) -> None:
    process = verb("search", "--space.class_path", "tiny_space.TinySpace", "--search.epochs", 10, "--output", "run")
    assert process.wait() == 0, process.errors
    assert last_share(tmp_path / "run") < 0.45  # 0.13 to 0.33 with two threads and one: other sums
    assert "learning rate of the logits: 0.294, for 119 steps" in process.output
    lines = [line for line in process.output.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 10
    assert all("% of most)" in line for line in lines)
    assert "had not decided" not in process.output
    metrics = json.loads((tmp_path / "run/summary.json").read_text())["metrics"]
    assert metrics["entropy_share"] == pytest.approx(last_share(tmp_path / "run"))
    assert metrics["logits_learning_rate"] == pytest.approx(35 / 119)  # the last three of the ten epochs settle


def test_the_papers_rate_does_not_and_that_is_said_at_the_end(verb, tmp_path: Path) -> None:
    words = ("--search.epochs", 2, "--search.logits_learning_rate", "3e-4", "--output", "run")
    process = verb("search", "--space.class_path", "tiny_space.TinySpace", *words)
    assert process.wait() == 0, process.errors
    assert last_share(tmp_path / "run") > 0.95
    warnings = [line for line in process.output.splitlines() if line.startswith("warning: ")]
    assert any("had not decided" in line for line in warnings)
    assert process.output.rstrip().splitlines()[-1] in warnings
