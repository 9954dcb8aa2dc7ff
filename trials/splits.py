"""Seeded, stratified splits: every class keeps its share in both parts."""

from __future__ import annotations

import torch
from torch import Tensor

from snas_nni.errors import SettingError

__all__ = ["stratified_split"]


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split row numbers in two so that each class gives ``fraction`` of its rows to the second part.

    Args:
        labels: shape ``(N,)``, int64.
        fraction: share of the second part, in (0, 1).
        seed: the same seed gives the same split on every machine.

    Returns:
        ``(kept, held_out)``: disjoint, ascending row numbers that together are ``0..N-1``.

    Raises:
        SettingError: a class has one row only, so it cannot be in both parts.
    """
    generator = torch.Generator().manual_seed(seed)
    held_out: list[Tensor] = []
    for label in torch.unique(labels).tolist():
        rows = (labels == label).nonzero().flatten()
        if len(rows) < 2:
            raise SettingError(f"data: class {label} has {len(rows)} training example; two are needed to hold one out")
        count = min(max(1, round(len(rows) * fraction)), len(rows) - 1)
        held_out.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held_out)] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()
