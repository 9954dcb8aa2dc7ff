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
from snas_nni.supernet.evaluating import evaluating

__all__ = ["Part", "parts_of"]

_SIZES = ("macs", "memory_access")
"""What a part whose size is chosen can take time for."""


@dataclass(frozen=True)
class Part:
    """Something that a child has or not.

    Attributes:
        owner: the choice that decides; None for what every child has.
        condition: how often the child of a one-hot Z has it.
    """

    owner: Owner
    condition: Polynomial


def parts_of(
    supernet: nn.Module, distribution: ArchitectureDistribution, costs: CostModel, arguments: tuple[Any, ...]
) -> list[Part]:
    """Return the parts of a space: what all children have, every candidate, and every product of chosen sizes.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        costs: what was counted on it; how sizes of layers multiply is read from the terms.
        arguments: of ``forward``.
    """
    trace = _Noting()
    with torch.random.fork_rng(devices=[]), evaluating(supernet, distribution, trace):
        supernet(*arguments)
    found = {_key(ONE): Part(None, ONE)}
    for part in trace.parts:
        found.setdefault(_key(part.condition), part)
    for name in _SIZES:
        for owner, polynomial in costs.parts[name].items():
            for term in polynomial.terms:
                if any(label in trace.slicing_labels for label, _ in term):
                    size = Polynomial({term: 1.0})
                    label = next(label for label, _ in term if label in trace.slicing_labels)
                    found.setdefault(_key(size), Part(owner or (label, 0), size))
    return list(found.values())


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
