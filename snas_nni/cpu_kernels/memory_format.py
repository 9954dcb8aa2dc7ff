"""The memory order in which a supernet is given its images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["channels_last", "is_channels_last"]


def channels_last(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put the images among the arguments of ``forward`` into channels-last order: a forward pre-hook."""

    def reordered(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() == 4:
            return value.contiguous(memory_format=torch.channels_last)
        return value

    return tuple(reordered(value) for value in args)


def is_channels_last(images: Tensor) -> bool:
    """Whether it is a batch of images in channels-last order."""
    return images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last)
