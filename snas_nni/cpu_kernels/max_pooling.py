"""Max pooling that keeps the place of each maximum in 16 bits: PyTorch keeps it in 64, twice the maximum itself.

Short, because it is one idea, and the only layer of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from snas_nni.cpu_kernels.replaced import replace_forward, runs_as
from snas_nni.cpu_kernels.unkept_outputs import can_do_without

__all__ = ["use_narrow_places"]

_PIXELS: Final = 2**15
"""Of an image, up to which 16 bits name each."""


def use_narrow_places(network: nn.Module) -> Callable[[], None]:
    """Let the max pooling layers of a network keep less; results and gradients stay what they are.

    Subclasses with a ``forward`` of their own stay as they are: they may keep other whole numbers.

    Returns:
        A function that undoes it.
    """
    return replace_forward([layer for layer in network.modules() if runs_as(layer, nn.MaxPool2d)], _forward)


def _forward(layer: nn.MaxPool2d, images: Tensor) -> Tensor:
    """``nn.MaxPool2d.forward``."""
    result: Tensor
    if images.shape[-2:].numel() > _PIXELS or not can_do_without():
        result = type(layer).forward(layer, images)
        return result
    with torch.autograd.graph.saved_tensors_hooks(_narrowed, _widened):
        result = type(layer).forward(layer, images)
    return result


def _narrowed(kept: Tensor) -> Tensor:
    return kept.to(torch.int16) if kept.dtype is torch.int64 else kept


def _widened(kept: Tensor) -> Tensor:
    return kept.to(torch.int64) if kept.dtype is torch.int16 else kept
