"""Activation checkpointing: a cell's activations are computed again in the backward pass instead of being kept.

One more forward pass of each cell for memory of one cell instead of all.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["run_checkpointed"]


def run_checkpointed(cell: nn.Module, *inputs: Tensor) -> Tensor:
    """Return ``cell(*inputs)``; logits, gradients and running statistics are those of a plain call.

    The backward pass must see the choices of the forward pass: in a supernet it runs while the same sample is in use.
    Without gradients, or in evaluation, it is a plain call.
    """
    if not (cell.training and torch.is_grad_enabled()):
        return cell(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _KeptStatistics(cell)

    return checkpoint(cell, *inputs, use_reentrant=False, context_fn=contexts)


class _KeptStatistics(AbstractContextManager[None]):
    """BatchNorm layers leave their running statistics alone: the first forward pass has updated them."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]

    def __enter__(self) -> None:
        # Not track_running_stats = False: the second pass must save as many tensors as the first.
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: Any) -> None:
        for norm, (momentum, batches) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
