"""When a child has a choice at all: one in a block of a ``Repeat``, or in a candidate, may not be there.

What such a choice would take makes no difference to a child without it, so it stays open however long a search is. How
far a search has decided is a question about the choices that its children have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Trace
from snas_nni.supernet.base import SampledModule
from snas_nni.supernet.evaluating import evaluating

__all__ = ["find_reach", "has_nested_choices", "reach_of", "reach_probabilities"]


def reach_of(trace: Trace, distribution: ArchitectureDistribution) -> dict[str, Polynomial]:
    """Above 0 exactly where a child has the choice of a label, for labels all of whose readers are in other choices.

    Args:
        trace: of a pass in which every candidate ran.
        distribution: of the supernet that ran.
    """
    met: dict[str, list[Polynomial]] = defaultdict(list)
    for (label, _), condition in trace.reached.items():
        met[label].append(condition)
    elsewhere = {label for lack in trace.dropped_channels.values() for term in lack.terms for label, _ in term}
    return {
        label: Polynomial.sum(conditions)
        for label, conditions in met.items()
        if label not in elsewhere | trace.slicing_labels
        and len(conditions) == len(distribution.readers[label])
        and all(() not in condition.terms for condition in conditions)
    }


def has_nested_choices(supernet: nn.Module) -> bool:
    """Whether a choice lies in another one, as far as the modules tell."""
    paths = [name for name, module in supernet.named_modules() if isinstance(module, SampledModule)]
    return any(inner.startswith(f"{outer}.") for outer in paths for inner in paths)


def find_reach(
    supernet: nn.Module, distribution: ArchitectureDistribution, inputs: tuple[Any, ...]
) -> dict[str, Polynomial]:
    """The same as :func:`reach_of`, from one pass without gradients; nothing is drawn, no statistic moves.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        inputs: arguments of its ``forward``, with one example.
    """
    trace = Trace()
    with evaluating(supernet, distribution, trace):
        supernet(*inputs)
    return reach_of(trace, distribution)


def reach_probabilities(reach: Mapping[str, Polynomial], distribution: ArchitectureDistribution) -> dict[str, float]:
    """How probable it is that a child has the choice of a label, for those in other choices; 1 for all others.

    Exact for a label with one reader; for one with several, which a child may have in some places, the expected number
    of places, 1 at most.

    Args:
        reach: by label.
        distribution: gives the probabilities, labels being independent.
    """
    read = {label for condition in reach.values() for term in condition.terms for label, _ in term}
    weights = {label: distribution.expected_weights(label).tolist() for label in read}
    return {label: min(1.0, max(0.0, condition.at(weights))) for label, condition in reach.items()}
