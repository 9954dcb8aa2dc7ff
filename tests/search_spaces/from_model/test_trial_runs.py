"""Choices that a network's own code refuses are dropped, with its words."""

import pytest
import torch
from small_networks import Block, Residual, lively
from torch import nn
from torch.nn import functional

from search_spaces import space_from
from snas_nni import SNAS, derive_child

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Written(nn.Module):
    """Has the number of flattened features in its forward, as many first networks do."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16 * 16, 3)

    def forward(self, x):
        x = functional.relu(self.b(functional.relu(self.a(x))))
        return self.head(functional.max_pool2d(x, 2).view(-1, 16 * 16))


def test_a_number_of_channels_in_the_code():
    space = space_from(lively(Written), IMAGES)
    assert space.candidates == {"a/width": [16, 12, 8]}
    assert space.fixed["b"].startswith("is refused in another size: ")


class Asked(Residual):
    """Asks its blocks what they are like."""

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            if block.shortcut is None:
                x = x + 0
            x = block(x)
        return self.head(x.mean((2, 3)))


def test_an_attribute_of_a_block():
    space = space_from(lively(Asked), IMAGES)
    assert not any(label.endswith("/block") for label in space.candidates)
    assert "AttributeError" in space.fixed["blocks.0"]
    assert "blocks.0.conv1/width" not in space.candidates  # 8 channels
    assert space.candidates["blocks.1.conv1/width"] == [16, 12, 8]


class Deciding(nn.Module):
    """Its forward reads values, so that it cannot be tried without them."""

    def __init__(self):
        super().__init__()
        self.block, self.other = Block(3, 16), Block(3, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.block(x) if float(x.sum()) != 0 else self.other(x)
        return self.head(x.mean((2, 3)))


def test_a_forward_that_reads_values():
    space = space_from(lively(Deciding), IMAGES)
    assert list(space.candidates) == ["block.conv1/width", "block.conv2/width"]
    child = derive_child(SNAS(seed=0).mutate_model(space), {"block.conv1/width": 8, "block.conv2/width": 8})
    assert child(IMAGES).shape == (4, 3)


class Either(nn.Module):
    """Works with either of its layers narrow, and not with both."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(4, 16), nn.Linear(16, 4), nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x):
        x, hidden = self.b(torch.relu(self.a(x))), self.a.out_features
        if hidden < 16 and self.c.out_features < 16:
            raise RuntimeError("too narrow")
        return self.d(torch.relu(self.c(x)))


def test_choices_that_only_fail_together():
    with pytest.raises(ValueError, match=r"Either cannot be cut: each choice works alone.*too narrow.*keep="):
        space_from(lively(Either), torch.randn(2, 4))
    assert list(space_from(lively(Either), torch.randn(2, 4), keep=["c"]).candidates) == ["a/width"]
