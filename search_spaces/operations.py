"""The eight candidate operations of a SNAS cell (paper, section 3).

Every operation maps ``(batch, channels, h, w)`` to ``(batch, channels, ceil(h / stride), ceil(w / stride))``.
None changes its input in place: all candidates of an edge read the same tensor.

Layers are plain ``torch.nn``. NNI's hub has operations of the same structure made of ``MutableConv2d``, and
NNI's ``freeze`` builds those anew: a child frozen from a trained supernet would lose its weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.shared import SharedAvgPool, SharedMaxPool, SharedReLU

__all__ = [
    "OPERATIONS",
    "DilatedConv",
    "FactorizedReduce",
    "NormedPool",
    "ReLUConvBN",
    "SeparableConv",
    "Zero",
    "build_operations",
]


class Zero(nn.Module):
    """No connection: zeros of the shape that the other operations return.

    The zeros are made, not multiplied: NaN times 0 is NaN, and a product costs a pass over the input.
    ``is_zero`` tells whoever sums operations that this one need not run.
    """

    is_zero: Final = True

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros, ``(batch, channels, ceil(height / stride), ceil(width / stride))``."""
        batch, channels, height, width = x.shape
        height, width = -(-height // self.stride), -(-width // self.stride)
        if x.is_contiguous(memory_format=torch.channels_last):  # the sum that begins with it would lose the order
            return x.new_zeros((batch, height, width, channels)).permute(0, 3, 1, 2)
        return x.new_zeros((batch, channels, height, width))

    def extra_repr(self) -> str:
        """Show the stride in the module's printout."""
        return f"stride={self.stride}"


class NormedPool(nn.Sequential):
    """A 3x3 pooling, then BatchNorm unless ``pool_norm`` is off.

    SNAS keeps the BatchNorm in the retrained network; the DARTS evaluation network has none.
    """

    def __init__(self, pool: nn.Module, channels: int, affine: bool, pool_norm: bool) -> None:
        layers = OrderedDict[str, nn.Module](pool=pool)
        if pool_norm:
            layers["norm"] = nn.BatchNorm2d(channels, affine=affine)
        super().__init__(layers)


class ReLUConvBN(nn.Sequential):
    """ReLU, a bias-free convolution that keeps the size at stride 1, BatchNorm."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, affine: bool = True
    ) -> None:
        super().__init__(
            OrderedDict[str, nn.Module](
                relu=nn.ReLU(),
                conv=nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
                norm=nn.BatchNorm2d(out_channels, affine=affine),
            )
        )


class FactorizedReduce(nn.Module):
    """Halve height and width: ReLU, two 1x1 convolutions of stride 2, concatenation, BatchNorm.

    The first convolution reads the pixels of even row and column, the second those of odd row and column.
    ``out_channels`` must be even.
    """

    def __init__(self, in_channels: int, out_channels: int, affine: bool = True) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}; it must be even, half for each convolution")
        self.conv_even = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.conv_odd = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=affine)
        self.relu = SharedReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, in_channels, h, w)`` to ``(batch, out_channels, ceil(h / 2), ceil(w / 2))``."""
        x = self.relu(x)
        height, width = x.shape[-2:]
        shifted = x[:, :, 1:, 1:]
        if height % 2 or width % 2:  # an odd side has one odd pixel fewer than even ones
            shifted = functional.pad(shifted, (0, width % 2, 0, height % 2))
        return self.norm(torch.cat([self.conv_even(x), self.conv_odd(shifted)], dim=1))


def depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Conv2d:
    """Build a convolution of each channel by itself that keeps the size at stride 1."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)


class SeparableConv(nn.Sequential):
    """Twice: ReLU, depthwise ``kernel`` x ``kernel``, pointwise 1x1, BatchNorm.

    The first depthwise convolution has the stride.
    """

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        layers = OrderedDict[str, nn.Module]()
        for turn, turn_stride in ((1, stride), (2, 1)):
            layers[f"relu{turn}"] = SharedReLU() if turn == 1 else nn.ReLU()
            layers[f"depthwise{turn}"] = depthwise(channels, kernel, turn_stride)
            layers[f"pointwise{turn}"] = nn.Conv2d(channels, channels, 1, bias=False)
            layers[f"norm{turn}"] = nn.BatchNorm2d(channels, affine=affine)
        super().__init__(layers)


class DilatedConv(nn.Sequential):
    """ReLU, depthwise ``kernel`` x ``kernel`` with dilation 2, pointwise 1x1, BatchNorm."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        super().__init__(
            OrderedDict[str, nn.Module](
                relu=SharedReLU(),
                depthwise=depthwise(channels, kernel, stride, dilation=2),
                pointwise=nn.Conv2d(channels, channels, 1, bias=False),
                norm=nn.BatchNorm2d(channels, affine=affine),
            )
        )


def max_pool_3x3(channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
    """Build the max pooling candidate."""
    return NormedPool(SharedMaxPool(3, stride, padding=1), channels, affine, pool_norm)


def avg_pool_3x3(channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
    """Build the average pooling candidate; the border's mean is over real pixels only."""
    return NormedPool(SharedAvgPool(3, stride, padding=1, count_include_pad=False), channels, affine, pool_norm)


def skip_connect(channels: int, stride: int, affine: bool) -> nn.Module:
    """Build the identity; at stride 2 the factorized reduction stands in for it."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


OPERATIONS: Final[Mapping[str, Callable[[int, int, bool, bool], nn.Module]]] = {
    "none": lambda channels, stride, affine, pool_norm: Zero(stride),
    "max_pool_3x3": max_pool_3x3,
    "avg_pool_3x3": avg_pool_3x3,
    "skip_connect": lambda channels, stride, affine, pool_norm: skip_connect(channels, stride, affine),
    "sep_conv_3x3": lambda channels, stride, affine, pool_norm: SeparableConv(channels, 3, stride, affine),
    "sep_conv_5x5": lambda channels, stride, affine, pool_norm: SeparableConv(channels, 5, stride, affine),
    "dil_conv_3x3": lambda channels, stride, affine, pool_norm: DilatedConv(channels, 3, stride, affine),
    "dil_conv_5x5": lambda channels, stride, affine, pool_norm: DilatedConv(channels, 5, stride, affine),
}
"""Builders by name, in the paper's order, of ``(channels, stride, affine, pool_norm)``.

``stride`` is 1 or 2, ``affine`` is that of every BatchNorm, ``pool_norm`` puts BatchNorm behind a pooling.
"""


def build_operations(channels: int, stride: int, affine: bool, pool_norm: bool) -> dict[str, nn.Module]:
    """Build all candidates of one edge, by name, in the order of :data:`OPERATIONS`."""
    return {name: build(channels, stride, affine, pool_norm) for name, build in OPERATIONS.items()}
