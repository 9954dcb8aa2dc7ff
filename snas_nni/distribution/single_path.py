"""One path of a relaxed sample: constant one-hot rows whose gradient is that of the score (DSNAS, arXiv 2002.09128)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["one_path"]


def one_path(log_z: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Take the argmax of a relaxed Z.

    Args:
        log_z: rows of the relaxed Z in the log domain, shape ``(layers, rows, C)``.
        logits: that it was drawn from, shape ``(rows, C)``.

    Returns:
        The one-hot rows in the log domain, and themselves, whose gradient at the logits is the credit, dL/dZ at the
        chosen category, times the score, grad log p(Z); both of the shape of ``log_z``.
    """
    chosen = nn.functional.one_hot(log_z.detach().argmax(-1), log_z.shape[-1]).to(log_z.dtype)
    return chosen.log(), _ScoreFunctionOneHot.apply(logits.expand_as(chosen), chosen)


class _ScoreFunctionOneHot(torch.autograd.Function):
    """One-hot rows that are constants forward and send credit times score backward; ``apply(logits, one_hot)``."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, one_hot: Tensor) -> Tensor:
        ctx.save_for_backward(logits, one_hot)
        return one_hot.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, one_hot = ctx.saved_tensors
        credit = (gradient * one_hot).sum(-1, keepdim=True)
        return credit * (one_hot - torch.softmax(logits, -1)), None
