"""The parts of a space that a runtime can take time for, each with the condition under which a child has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.resources.latency.liveness import live_conditions
from snas_nni.supernet.evaluating import evaluating

__all__ = ["SIZES", "Part", "Structure", "parts_of"]

SIZES = ("macs", "memory_access")
"""What a part can take time for."""


@dataclass(frozen=True)
class Part:
    """Something that a child has or not.

    Attributes:
        owner: the choice that decides; None for what every child has.
        condition: how often the child of a one-hot Z has it.
    """

    owner: Owner
    condition: Polynomial


@dataclass(frozen=True)
class Structure:
    """What times of children of a space are explained by.

    Attributes:
        parts: the first is what every child has.
        sizes: multiply-accumulates and memory access by name, as polynomials by the choice that decides.
        alive: 1 for a child whose output depends on its input.
    """

    parts: list[Part]
    sizes: dict[str, dict[Owner, Polynomial]]
    alive: Polynomial = ONE


def parts_of(
    supernet: nn.Module, distribution: ArchitectureDistribution, costs: CostModel, arguments: tuple[Any, ...]
) -> Structure:
    """Return the parts of a space: what all children have, every candidate, and every product of chosen sizes.

    A part counts where the output of the child depends on it; see :mod:`snas_nni.resources.latency.liveness`.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        costs: what was counted on it; how sizes of layers multiply is read from the terms.
        arguments: of ``forward``.
    """
    trace = _Noting()
    with torch.random.fork_rng(devices=[]), evaluating(supernet, distribution, trace):
        supernet(*arguments)
    live = live_conditions(supernet, distribution, arguments)
    found = {_key(ONE): Part(None, ONE)}
    for part in [Part(None, live.get(None, ONE)), *trace.parts]:
        condition = part.condition * live.get(part.owner, ONE)
        if condition.terms:
            found.setdefault(_key(condition), Part(part.owner, condition))
    for name in SIZES:
        for owner, polynomial in costs.parts[name].items():
            for term in polynomial.terms:
                if any(label in trace.slicing_labels for label, _ in term):
                    size = Polynomial({term: 1.0}) * live.get(owner, ONE)
                    label = next(label for label, _ in term if label in trace.slicing_labels)
                    found.setdefault(_key(size), Part(owner or (label, 0), size))
    sizes = {
        name: {owner: polynomial * live.get(owner, ONE) for owner, polynomial in costs.parts[name].items()}
        for name in SIZES
    }
    return Structure(list(found.values()), sizes, live.get(None, ONE))


def _key(polynomial: Polynomial) -> tuple[Any, ...]:
    return tuple(sorted(polynomial.terms.items()))


class _Noting(Trace):
    """A pass that notes under which conditions something runs."""

    def __init__(self, values: Mapping[str, int] | None = None) -> None:
        super().__init__(values, self._note)
        self.parts: list[Part] = []

    def _note(self, entered: bool) -> None:
        if entered:
            self.parts.append(Part(self.owner, self.condition))
