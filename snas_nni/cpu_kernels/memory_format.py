"""The memory order in which a supernet is given its images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ChannelsLast", "channels_last", "dot_of_images", "is_channels_last", "order_as_given"]

_as_given: ContextVar[bool] = ContextVar("order_as_given", default=False)


class ChannelsLast:
    """A forward pre-hook that puts the images among the arguments of ``forward`` into channels-last order.

    Args:
        if_it_runs: first try the network in that order, once and without gradients, and leave the images as they are
            if it fails there: ``images.view(len(images), -1)`` needs the other order.
    """

    def __init__(self, if_it_runs: bool = False) -> None:
        self._runs: bool | None = None if if_it_runs else True

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments that ``forward`` gets."""
        if _as_given.get() or not any(_is_images(value) for value in args):
            return args
        reordered = tuple(
            value.contiguous(memory_format=torch.channels_last) if _is_images(value) else value for value in args
        )
        if self._runs is None:
            self._runs = _runs(module, reordered)
        return reordered if self._runs else args


channels_last = ChannelsLast()


@contextmanager
def order_as_given() -> Iterator[None]:
    """Let :class:`ChannelsLast` leave images as they are inside a ``with`` block."""
    before = _as_given.set(True)
    try:
        yield
    finally:
        _as_given.reset(before)


def is_channels_last(images: Tensor) -> bool:
    """Whether it is a batch of images in channels-last order."""
    return images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last)


def _is_images(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4


def _runs(module: nn.Module, args: tuple[Any, ...]) -> bool:
    """Whether the network can read images in that order. Any other failure is the next pass's to report."""
    training = {each: each.training for each in module.modules()}
    try:
        module.eval()
        with order_as_given(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            module(*args)
    except RuntimeError as error:
        return "view size is not compatible" not in str(error)
    except Exception:
        return True
    finally:
        for each, mode in training.items():
            each.training = mode
    return True


def dot_of_images(a: Tensor, b: Tensor) -> Tensor:
    """Sum of products of two tensors of one shape, a scalar; images in channels-last order are not copied for it."""
    precise = torch.promote_types(torch.float32, torch.promote_types(a.dtype, b.dtype))
    a, b = a.to(precise), b.to(precise)
    if is_channels_last(a) and is_channels_last(b):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)  # so that flattening copies nothing
    if a.is_complex():
        return torch.vdot(b.reshape(-1), a.reshape(-1)).real  # the gradient of a real weight
    return torch.dot(a.reshape(-1), b.reshape(-1))
