"""Memory for activations as a bound: the peak of one operation's inputs and output.

A peak is a maximum, so it has no expectation that adds up over the parts of a network. A bound on it has: the elements
by which each operation of the child exceeds the bound, summed over them. That sum is a multilinear polynomial in Z
like every other cost, and is 0 exactly for the children within the bound. So the solver excludes the operations above
it, and a search can be held back by its expectation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from snas_nni.cost_model import CostModel
from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.errors import SettingError

__all__ = ["peak_excess", "peak_sizes"]

MAX_OUTCOMES = 4096


def peak_excess(model: CostModel, bound: float) -> Polynomial:
    """Elements by which the operations of a child exceed ``bound`` on their activations, summed; 0 if none does.

    Raises:
        SettingError: the space's peaks were not counted, or one operation's size has too many outcomes.
    """
    if not model.peaks:
        raise SettingError("activation_peak was not counted for this space, so it cannot be bounded.")
    whole = all(value == int(value) for _, size in model.peaks for value in size.terms.values())
    limit = float(math.floor(bound)) if whole else bound  # whole numbers, which a solver treats exactly
    return Polynomial.sum(condition * _above(size, limit, model.choices) for condition, size in model.peaks)


def peak_sizes(model: CostModel) -> list[float]:
    """Every size that an operation of the space can have, in elements, ascending."""
    return sorted({value for _, size in model.peaks for _, value in _outcomes(size, model.choices)})


def _above(size: Polynomial, bound: float, choices: Mapping[str, Choice]) -> Polynomial:
    constant = size.terms.get((), 0.0)
    rest = [value for term, value in size.terms.items() if term]
    if constant + sum(max(0.0, value) for value in rest) <= bound:
        return Polynomial()
    if constant + sum(min(0.0, value) for value in rest) >= bound:
        return size + Polynomial.constant(-bound)
    return Polynomial.sum(condition * (value - bound) for condition, value in _outcomes(size, choices) if value > bound)


def _outcomes(size: Polynomial, choices: Mapping[str, Choice]) -> list[tuple[Polynomial, float]]:
    """What a polynomial is worth at each outcome of the labels it depends on."""
    labels = sorted({label for term in size.terms for label, _ in term})
    counts = [len(choices[label].candidates) for label in labels]
    if math.prod(counts) > MAX_OUTCOMES:
        raise SettingError(
            f"activation_peak cannot be bounded in this space: one operation's size depends on {', '.join(labels)}, "
            f"which have {math.prod(counts):,} outcomes, more than {MAX_OUTCOMES:,}. Bound memory_access instead."
        )
    found = []
    for indices in itertools.product(*map(range, counts)):
        chosen = dict(zip(labels, indices, strict=True))
        condition = ONE
        for label, index in chosen.items():
            condition = condition * Polynomial.entry(label, index)
        found.append((condition, size.value(chosen)))
    return found
