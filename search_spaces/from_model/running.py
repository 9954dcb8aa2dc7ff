"""Running a model to look at it, so that it is afterwards what it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["as_it_was", "twice"]


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Modes and buffers of a model, and the CPU's random state, are afterwards what they were."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers and buffer.shape == buffers[name].shape:
                    buffer.copy_(buffers[name])


def twice(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The example and itself again, as a normalization over the batch wants more than one."""
    return tuple(torch.cat([a, a]) if isinstance(a, Tensor) and a.dim() else a for a in args)
