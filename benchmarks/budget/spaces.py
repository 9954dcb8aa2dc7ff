"""Spaces so small that every child can be trained alone: what the best child within a budget reaches is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import nni
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, MutableLinear, Repeat
from torch import Tensor, nn

from snas_nni import build_child
from snas_nni.resources import count_child

__all__ = ["SPACES", "BlockSpace", "TinySpace", "WidthSpace", "children_of"]


class TinySpace(ModelSpace):
    """The space of docs/your_own_space.md: three children."""

    def __init__(self, in_channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.middle = LayerChoice(
            {"conv3": nn.Conv2d(16, 16, 3, padding=1), "conv5": nn.Conv2d(16, 16, 5, padding=2), "skip": nn.Identity()},
            label="middle",
        )
        self.head = nn.Linear(16, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, classes)``."""
        return self.head(self.middle(self.stem(images)).relu().mean((2, 3)))


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class BlockSpace(ModelSpace):
    """One or two of the blocks of examples/images: 20 children."""

    def __init__(self, in_channels: int = 1, classes: int = 10, channels: int = 12) -> None:
        super().__init__()
        self.stem = _convolution(in_channels, channels, 3)
        self.blocks = Repeat(lambda index: self.block(channels, f"block{index}"), (1, 2), label="depth")
        self.classifier = nn.Linear(channels, classes)

    @staticmethod
    def block(channels: int, name: str) -> nn.Module:
        """Return the choice of one block."""
        return LayerChoice(
            {
                "conv3": _convolution(channels, channels, 3),
                "conv5": _convolution(channels, channels, 5),
                "pair": nn.Sequential(_convolution(channels, channels, 3), nn.MaxPool2d(3, 1, padding=1)),
                "skip": nn.Identity(),
            },
            label=name,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, classes)``."""
        return self.classifier(self.blocks(self.stem(images)).mean((2, 3)))


class WidthSpace(ModelSpace):
    """Three convolutions of 4, 8 or 16 channels each: 27 children whose weights are slices of one another."""

    def __init__(self, in_channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        widths = [nni.choice(f"width{index}", [4, 8, 16]) for index in range(3)]
        self.body = nn.Sequential()
        for before, after in zip([in_channels, *widths], widths, strict=False):
            self.body.append(MutableConv2d(before, after, 3, padding=1))  # NNI cannot freeze one without bias
            self.body.append(MutableBatchNorm2d(after))
            self.body.append(nn.ReLU())
        self.head = MutableLinear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, classes)``."""
        return self.head(self.body(images).mean((2, 3)))


SPACES: dict[str, type[ModelSpace]] = {"tiny": TinySpace, "blocks": BlockSpace, "widths": WidthSpace}


def children_of(kind: Callable[[], ModelSpace], inputs: Tensor) -> list[dict[str, Any]]:
    """List the different children of a space: ``{"sample", "network", "costs"}`` each, cheapest first.

    Samples that differ in a choice which their child does not have give the same network, and count once.

    Args:
        kind: makes the space.
        inputs: one example, shape ``(1, C, H, W)``.
    """
    mutables = kind().simplify()
    found: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*(mutable.values for mutable in mutables.values())):
        sample = dict(zip(mutables, values, strict=True))
        child = build_child(kind, {}, sample)
        found.setdefault(str(child), {"sample": sample, "network": str(child), "costs": count_child(child, inputs)})
    return sorted(found.values(), key=lambda child: child["costs"]["params"])
