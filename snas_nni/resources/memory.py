"""Memory as a cost: the peak of one operation's activations as a bound, and the bytes of the weights as stored.

A peak is a maximum, so it has no expectation that adds up over the parts of a network. A bound on it has: the elements
by which each operation of the child exceeds the bound, summed over them. That sum is a multilinear polynomial in Z
like every other cost, and is 0 exactly for the children within the bound. So the solver excludes the operations above
it, and a search can be held back by its expectation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.errors import SettingError
from snas_nni.resources.costs import CostModel
from snas_nni.resources.operations import Convention
from snas_nni.resources.parameters import parameter_polynomials

__all__ = ["STORED_BYTES", "bytes_of_child", "peak_excess", "peak_sizes", "stored_bytes"]

MAX_OUTCOMES = 4096


def _float32(parameter: Tensor) -> float:
    return 4.0 * parameter.numel()


def _int8(parameter: Tensor) -> float:
    # Biases and the scales of a normalisation stay at 32 bits in a quantized network.
    return (1.0 if parameter.dim() > 1 else 4.0) * parameter.numel()


STORED_BYTES: dict[str, Callable[[Tensor], float]] = {"float32_bytes": _float32, "int8_bytes": _int8}
"""Bytes that a parameter takes as stored, by name of the cost; a further format is one more entry."""


def stored_bytes(supernet: nn.Module, model: CostModel, name: str) -> dict[Owner, Polynomial]:
    """Bytes of a child's weights as stored, as polynomials in Z by the choice that decides about them.

    Running statistics of normalisations are not counted: they are folded into weights on export.

    Args:
        supernet: the mutated space.
        model: its costs; knows which parameters a child of cells with loose ends does not have.
        name: a key of ``STORED_BYTES``.
    """
    size = STORED_BYTES[name]
    stored = parameter_polynomials(supernet, Convention(size_of=size))
    # Columns of a matrix that a child lacks, at the size of a matrix's entry: never too few bytes.
    entry = size(torch.empty(1, 1))
    unread = {owner: part * -entry for owner, part in model.unread_params.items()}
    return {
        owner: Polynomial.sum(part for by_owner in (stored, unread) for part in (by_owner.get(owner),) if part)
        for owner in dict.fromkeys([*stored, *unread])
    }


def bytes_of_child(child: nn.Module, name: str) -> float:
    """Bytes of a plain network's weights as stored, by the same rules."""
    total = Polynomial.sum(parameter_polynomials(child, Convention(size_of=STORED_BYTES[name])).values())
    return total.terms.get((), 0.0)


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
