"""What stands before and beside the cells: the stems and the auxiliary head (paper, section 3).

Their BatchNorm layers are always affine; only the cells' are switched off during a search.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AuxiliaryHead", "CifarStem", "ImageNetStem"]


class CifarStem(nn.Module):
    """One 3x3 convolution to ``3 * channels``; its output is both inputs of the first cell."""

    halves_between_outputs: Final = False

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.out_channels = 3 * channels
        self.conv = nn.Conv2d(in_channels, self.out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(self.out_channels)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, in_channels, h, w)`` to twice the same ``(batch, 3 * channels, h, w)``."""
        x = self.norm(self.conv(images))
        return x, x


class ImageNetStem(nn.Module):
    """Three 3x3 convolutions of stride 2: cells see an eighth of the image's side. ``channels`` is even."""

    halves_between_outputs: Final = True

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.out_channels = channels
        self.quarter = nn.Sequential(
            nn.Conv2d(in_channels, channels // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.eighth = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, in_channels, h, w)`` to ``(batch, channels, h/4, w/4)`` and ``(.., h/8, w/8)``."""
        before_last = self.quarter(images)
        return before_last, self.eighth(before_last)


class AuxiliaryHead(nn.Module):
    """A second classifier in mid-network, for training only.

    Average pooling 5x5, 1x1 convolution to 128, 2x2 convolution to 768, linear. Made for maps that the
    pooling leaves 2x2: 8x8 of CIFAR with ``pool_stride`` 3, 7x7 of ImageNet with 2. Larger maps are averaged
    before the classifier.
    """

    def __init__(self, channels: int, classes: int, pool_stride: int) -> None:
        super().__init__()
        self.smallest_side = 5 + pool_stride
        self.features = nn.Sequential(
            nn.ReLU(),  # not in place: the next cell reads the same maps
            nn.AvgPool2d(5, stride=pool_stride, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(batch, channels, h, w)`` to logits ``(batch, classes)``.

        Raises:
            ValueError: ``h`` or ``w`` is too small for the pooling and the 2x2 convolution.
        """
        height, width = maps.shape[-2:]
        if min(height, width) < self.smallest_side:
            raise ValueError(
                f"the auxiliary head got maps of {height}x{width} and needs at least "
                f"{self.smallest_side}x{self.smallest_side}: use larger images or auxiliary=False"
            )
        features = functional.adaptive_avg_pool2d(self.features(maps), 1)
        return self.classifier(features.flatten(1))
