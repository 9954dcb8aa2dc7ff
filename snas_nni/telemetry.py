"""What a search shows while it runs: one flat dictionary of numbers per epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from snas_nni.concrete import entropy
from snas_nni.distribution import ArchitectureDistribution

__all__ = ["SKIP_NAMES", "ZERO_NAMES", "logit_movement", "search_metrics"]

# Candidate names by which published spaces call the operation that outputs zeros, and the one that does nothing.
ZERO_NAMES = frozenset({"none", "zero"})
SKIP_NAMES = frozenset({"skip_connect", "skip", "identity"})


def search_metrics(distribution: ArchitectureDistribution) -> dict[str, float]:
    """Describe the architecture distribution.

    Returns:
        ``search/entropy``: total entropy in nats; ``search/entropy_share``: as a share of the largest possible;
        ``search/zero_share`` and ``search/skip_share``: mean probability of the zero operation and of the skip,
        over the labels that have one; ``search/top2_gap``: mean difference between the two largest probabilities
        of a row; ``entropy/<label>``: entropy of each label in nats.
    """
    entropies: dict[str, float] = {}
    largest = 0.0
    gaps: list[Tensor] = []
    shares: dict[str, list[float]] = {"zero": [], "skip": []}
    with torch.no_grad():
        for label, choice in distribution.choices.items():
            rows = distribution.rows_of(label)
            entropies[f"entropy/{label}"] = float(entropy(rows).sum())
            largest += float(entropy(torch.zeros_like(rows)).sum())
            if rows.shape[-1] > 1:
                top = torch.softmax(rows, -1).topk(2, dim=-1).values
                gaps.append(top[:, 0] - top[:, 1])
            probabilities = distribution.expected_weights(label)
            for kind, names in (("zero", ZERO_NAMES), ("skip", SKIP_NAMES)):
                found = [k for k, candidate in enumerate(choice.candidates) if candidate in names]
                if found:
                    shares[kind].append(float(probabilities[found].sum()))
    total = sum(entropies.values())
    metrics = {
        "search/entropy": total,
        "search/entropy_share": total / largest if largest else 0.0,
        "search/top2_gap": float(torch.cat(gaps).mean()) if gaps else 1.0,
    }
    for kind, values in shares.items():
        if values:
            metrics[f"search/{kind}_share"] = sum(values) / len(values)
    return {**metrics, **entropies}


def logit_movement(before: dict[str, Tensor], distribution: ArchitectureDistribution) -> float:
    """Root mean square change of the log-probabilities since ``before`` (which has log-softmax rows by label)."""
    with torch.no_grad():
        changes = [
            (torch.log_softmax(distribution.rows_of(label), -1) - rows).reshape(-1) for label, rows in before.items()
        ]
        return float(torch.cat(changes).square().mean().sqrt())
