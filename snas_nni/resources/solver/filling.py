"""A child that leaves much of its budget gets larger candidates, the most probable ones first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf

__all__ = ["filled"]


def filled(
    distribution: ArchitectureDistribution,
    model: CostModel,
    bounds: Mapping[str, float],
    sample: Mapping[str, Any],
    tolerance: float,
) -> dict[str, Any]:
    """Change one choice after the other until a child uses one of its bounds up.

    Each time it is the change that gives up least log-probability for the share of the bounds that it uses, among
    those that stay within all bounds. What comes out is within the bounds if the sample is, and costs no less. It is
    found at once where the most probable child close to the bounds takes a solver long.

    Args:
        distribution: gives the probabilities; what it excludes is not chosen.
        model: what children cost.
        bounds: upper bounds by cost.
        sample: NNI sample of a child within them.
        tolerance: stop where some cost is within this share of its bound, in (0, 1).
    """
    chosen = dict(sample)
    logs = _log_probabilities(distribution)
    while (used := _used(model, bounds, chosen)) < 1 - tolerance:
        best = None
        for label, value, loss in _changes(distribution, logs, chosen):
            changed = {**chosen, label: value}
            gain = _used(model, bounds, changed) - used
            if gain > 0 and used + gain <= 1 and (best is None or loss / gain < best[0]):
                best = loss / gain, changed
        if best is None:
            break
        chosen = best[1]
    return chosen


def _used(model: CostModel, bounds: Mapping[str, float], sample: Mapping[str, Any]) -> float:
    costs = model.of(sample, bounds)
    # A cost at its bound is within it, whatever the quotient is rounded to.
    return max((1.0 if costs[name] == bound else costs[name] / bound) for name, bound in bounds.items() if bound > 0)


def _log_probabilities(distribution: ArchitectureDistribution) -> dict[str, list[float]]:
    """Of the candidates of choices of one."""
    return {
        label: torch.log_softmax(distribution.rows_of(label).detach().double(), -1)[0].tolist()
        for label, choice in distribution.choices.items()
        if isinstance(choice, OneOf)
    }


def _changes(
    distribution: ArchitectureDistribution, logs: Mapping[str, Sequence[float]], sample: Mapping[str, Any]
) -> Iterator[tuple[str, Any, float]]:
    """Other candidates of choices of one, with the log-probability that each gives up."""
    for label, row in logs.items():
        choice = distribution.choices[label]
        (now,) = choice.categories(sample[label])
        for index, log in enumerate(row):
            if index != now and math.isfinite(log):
                yield label, choice.value([index]), row[now] - log
