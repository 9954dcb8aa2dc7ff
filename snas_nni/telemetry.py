"""What a search shows while it runs: one flat dictionary of numbers per epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snas_nni.concrete import entropy
from snas_nni.distribution import ArchitectureDistribution
from snas_nni.operation_names import SKIP_NAMES, ZERO_NAMES
from snas_nni.sample import Sample

__all__ = ["CreditMeter", "logit_movement", "search_metrics"]


def search_metrics(distribution: ArchitectureDistribution) -> dict[str, float]:
    """Describe the architecture distribution.

    Returns:
        ``search/entropy``: total entropy in nats; ``search/entropy_share``: as a share of the largest possible;
        ``search/zero_share`` and ``search/skip_share``: mean probability of the zero operation and of the skip,
        over the labels that have one; ``search/top2_gap``: mean difference between the two largest probabilities
        of a row; ``entropy/<label>``: entropy of each label in nats; ``probability/<label>/<candidate>``: probability
        of each candidate to be in the child.
    """
    entropies: dict[str, float] = {}
    each: dict[str, float] = {}
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
            for candidate, probability in zip(choice.candidates, probabilities.tolist(), strict=True):
                each[f"probability/{label}/{candidate}"] = probability
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
    return {**metrics, **entropies, **each}


def logit_movement(before: dict[str, Tensor], distribution: ArchitectureDistribution) -> float:
    """Root mean square change of the log-probabilities since ``before`` (which has log-softmax rows by label)."""
    with torch.no_grad():
        changes = [
            (torch.log_softmax(distribution.rows_of(label), -1) - rows).reshape(-1) for label, rows in before.items()
        ]
        return float(torch.cat(changes).square().mean().sqrt())


class CreditMeter:
    """Splits what the loss expects of each label into its task part and its cost part, without a backward of its own.

    The credit of a label is sum_k Z^k dL/dZ^k, the first-order change of the loss when its output is switched off
    (paper, section 2.3; a positive number says that the loss would fall). It is read from the gradients that the
    step's one backward pass leaves at Z and at the weights that the regularizers read.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._steps = 0

    def watch(self, sample: Sample, read: Iterable[Mapping[str, Tensor]]) -> None:
        """Call between forward and backward.

        Args:
            sample: the Z of the step.
            read: for each regularizer, the weights that it read by label, shape ``(K,)`` each.
        """
        self._steps += 1
        for label, weights in sample.weights.items():
            self._hook("total", label, weights)
        through_sample = sample.mean_weights()
        for weights_by_label in read:
            for label, weights in weights_by_label.items():
                self._hook("cost", label, weights)
                if weights is through_sample[label]:
                    self._hook("cost_through_sample", label, weights)

    def _hook(self, part: str, label: str, weights: Tensor) -> None:
        if weights.requires_grad:
            weights.register_hook(partial(self._add, (part, label), weights.detach()))  # type: ignore[no-untyped-call]

    def _add(self, key: tuple[str, str], weights: Tensor, gradient: Tensor) -> None:
        credit = (weights * gradient.detach()).sum()
        self._sums[key] = self._sums[key] + credit if key in self._sums else credit

    def metrics(self) -> dict[str, float]:
        """``credit/task/<label>`` and, where there is one, ``credit/cost/<label>``: means over the steps."""
        found: dict[str, float] = {}
        sums: dict[tuple[str, str], float] = defaultdict(float, {k: float(v) for k, v in self._sums.items()})
        for part, label in self._sums:
            if part == "total":
                task = sums["total", label] - sums["cost_through_sample", label]
                found[f"credit/task/{label}"] = task / max(1, self._steps)
            elif part == "cost":
                found[f"credit/cost/{label}"] = sums["cost", label] / max(1, self._steps)
        return found

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the sums of this epoch's steps so far."""
        return {
            "steps": self._steps,
            "sums": [[part, str(label), value] for (part, label), value in self._sums.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._steps = state["steps"]
        self._sums = {(part, label): value for part, label, value in state["sums"]}
