"""The four spaces that tables are made for: cells, NAS-Bench-201, blocks with widths, residual blocks with depths."""

from __future__ import annotations

from collections.abc import Callable

import nni
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, MutableLinear, Repeat
from torch import Tensor, nn

from search_spaces import NasBench201Space, SnasCellSpace

__all__ = ["IMAGES", "SPACES", "ResidualSpace", "WidthSpace"]

IMAGES = torch.zeros(2, 3, 32, 32)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class WidthSpace(ModelSpace):
    """The blocks of examples/images, between convolutions whose channels are chosen too."""

    def __init__(self, in_channels: int = 3, classes: int = 10, channels: int = 16) -> None:
        super().__init__()
        first, second = nni.choice("first", [16, 32, 48]), nni.choice("second", [16, 32, 64])
        self.stem = nn.Sequential(MutableConv2d(in_channels, first, 3, padding=1), MutableBatchNorm2d(first), nn.ReLU())
        self.narrow = nn.Sequential(MutableConv2d(first, channels, 3, stride=2, padding=1), nn.ReLU())
        self.blocks = Repeat(lambda index: self.block(channels, f"block{index}"), (1, 4), label="depth")
        self.wide = nn.Sequential(
            MutableConv2d(channels, second, 3, stride=2, padding=1), MutableBatchNorm2d(second), nn.ReLU(),
            MutableConv2d(second, second, 3, padding=1), MutableBatchNorm2d(second), nn.ReLU(),
        )  # fmt: skip
        self.head = MutableLinear(second, classes)

    @staticmethod
    def block(channels: int, name: str) -> nn.Module:
        """One of four: two convolutions, a convolution before a pooling or another one, nothing."""
        pair = LayerChoice([_convolution(channels, channels, 1), nn.MaxPool2d(3, 1, padding=1)], label=f"{name}_pair")
        return LayerChoice(
            {
                "conv3": _convolution(channels, channels, 3),
                "conv5": _convolution(channels, channels, 5),
                "pair": nn.Sequential(_convolution(channels, channels, 3), pair),
                "skip": nn.Identity(),
            },
            label=name,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, classes)``."""
        return self.head(self.wide(self.blocks(self.narrow(self.stem(images)))).mean((2, 3)))


class _Residual(nn.Module):
    """A bottleneck of depthwise or dense convolutions whose input is added to what it computes."""

    def __init__(self, channels: int, kernel: int, expansion: int, depthwise: bool) -> None:
        super().__init__()
        inner = channels * expansion
        middle = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner if depthwise else 1, bias=False)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            middle, nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


class ResidualSpace(ModelSpace):
    """Three stages of one to three residual blocks, each one of four kinds."""

    def __init__(self, in_channels: int = 3, classes: int = 10, channels: int = 16) -> None:
        super().__init__()
        self.stem = _convolution(in_channels, channels, 3)
        self.stages = nn.ModuleList()
        for stage in range(3):
            width = channels * 2**stage
            down = _convolution(width if stage == 0 else width // 2, width, 3, 1 if stage == 0 else 2)
            blocks = Repeat(
                lambda index, stage=stage, width=width: self.block(width, f"stage{stage}_{index}"),
                (1, 3),
                label=f"depth{stage}",
            )
            self.stages.append(nn.Sequential(down, blocks))
        self.head = nn.Linear(width, classes)

    @staticmethod
    def block(width: int, name: str) -> nn.Module:
        """A residual block."""
        return LayerChoice(
            {
                "dense3": _Residual(width, 3, 1, False),
                "depthwise3": _Residual(width, 3, 2, True),
                "depthwise5": _Residual(width, 5, 2, True),
                "wide3": _Residual(width, 3, 2, False),
            },
            label=name,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, classes)``."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))


SPACES: dict[str, Callable[..., ModelSpace]] = {
    "cells": lambda: SnasCellSpace(channels=8, cells=3, nodes=2),
    "nasbench201": lambda: NasBench201Space(channels=16, cells_per_stage=1),
    "widths": WidthSpace,
    "residual": ResidualSpace,
}
"""Each makes a model space whose images are 3 x 32 x 32."""
