"""A space and data for searches that are drawn at random: all that has drawn numbers at the wrong moment is in them."""

from __future__ import annotations

import nni
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, Repeat
from torch import nn

__all__ = ["DrawnSpace", "network", "stripes"]


class DrawnSpace(ModelSpace):
    """Sliced layers, which are made anew to be measured, with dropout, a repeat and a choice of inputs."""

    def __init__(self, classes: int = 3, in_channels: int = 3) -> None:
        super().__init__()
        width = nni.choice("width", [4, 8])
        kernel = nni.choice("kernel", [1, 3])
        self.stem = MutableConv2d(in_channels, width, kernel, padding=kernel // 2)
        self.norm = MutableBatchNorm2d(width)
        self.middle = MutableConv2d(width, 4, 1)
        self.layer = LayerChoice(
            {"conv": nn.Conv2d(4, 4, 3, padding=1), "drop": nn.Dropout(0.3), "skip": nn.Identity()}, label="layer"
        )
        self.depth = Repeat(lambda _: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), (0, 2), label="depth")
        self.inputs = InputChoice(n_candidates=2, n_chosen=1, label="inputs")
        self.drop, self.classifier = nn.Dropout(0.2), nn.Linear(4, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to logits ``(B, classes)``."""
        first = self.middle(torch.relu(self.norm(self.stem(images))))
        second = self.depth(self.layer(first))
        return self.classifier(self.drop(self.inputs([second, first + second]).mean((2, 3))))


def network(classes: int = 10, in_channels: int = 1) -> nn.Module:
    """A plain network, for a space that is made from it."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(16, classes),
    )


def stripes(count: int = 240) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of shape ``(3, 8, 8)`` with stripes across, along or nowhere, and which of it."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (count,), generator=generator)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    images[labels == 0, :, ::2] += 1
    images[labels == 1, :, :, ::2] += 1
    return images, labels
