"""A given network that does little better than chance is told of, a good one is not."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from trials.data.augmentation import Normalization
from trials.data.types import LabelledTensors, TaskData
from trials.progress import Progress
from trials.runs.teaching.given_network import MOST_EXAMPLES, chance_warning, warn_of_chance
from trials.settings.search import SpaceSettings

NAMES = tuple("abcdefghij")


@pytest.mark.parametrize(
    ("accuracy", "most_frequent", "classes", "warns"),
    [(0.19, 0.1, 10, True), (0.2, 0.1, 10, False), (0.6, 0.6, 10, True), (0.61, 0.6, 10, False),
     (0.5, 0.5, 2, True), (0.51, 0.5, 2, False), (0.45, 0.3, 4, False), (0.39, 0.25, 5, True)],
)  # fmt: skip
def test_where_chance_ends(accuracy, most_frequent, classes, warns):
    line = chance_warning(accuracy, most_frequent, NAMES[:classes])
    assert (line is not None) == warns
    if line is not None:
        assert f"{accuracy:.1%}" in line
        assert "data.mean, data.std" in line
        assert "a, b" in line


class Heard(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def pick(classes: int = 10) -> nn.Module:
    """Answers the class of the largest of its pixels of one channel."""
    network = nn.Sequential(
        nn.Conv2d(1, 10, (1, 10)), nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten(), nn.Linear(10, classes)
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(10).view(10, 1, 1, 10))
        network[0].bias.zero_()
        network[4].weight.copy_(torch.eye(10)[:classes])
        network[4].bias.zero_()
    return network


def shown(inputs: torch.Tensor, normalization: Normalization | None, path: str) -> list[str]:
    count = MOST_EXAMPLES * 2 + 30
    labels = torch.arange(count) % 10
    part = LabelledTensors(inputs[labels].view(count, 1, 1, 10), labels)
    heard = Heard()
    arguments = {"model": "tests.trials.runs.teaching.test_given_network.pick", "weights": path}
    warn_of_chance(
        SpaceSettings(class_path="search_spaces.FromModel", init_args=arguments),
        TaskData(part, part, part, NAMES, normalization),
        heard,
    )
    return heard.lines


def test_the_normalization_decides(tmp_path):
    """A ReLU behind a channel sees nothing of what another mean puts below 0, so that the first class is named."""
    path = str(tmp_path / "weights.safetensors")
    save_file(pick().state_dict(), path)
    pixels = torch.eye(10)
    assert shown(pixels, None, path) == []
    (line,) = shown(pixels, Normalization((2.0,), (1.0,)), path)
    assert "10.0%" in line


def test_without_weights_nothing_is_looked_at():
    heard = Heard()
    warn_of_chance(SpaceSettings(init_args={"model": "no.such.module"}), None, heard)  # type: ignore[arg-type]
    assert heard.lines == []
