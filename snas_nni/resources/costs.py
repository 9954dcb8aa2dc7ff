"""Counts what every child of a space costs, and what one network costs, by the same rules."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.resources.cost_info import COSTS, counted_costs
from snas_nni.resources.counting import Count, count_operations, missing_channels, owner_of, substituted
from snas_nni.resources.dependence import operation_polynomials
from snas_nni.resources.operations import Convention
from snas_nni.resources.parameters import parameter_polynomials
from snas_nni.resources.reach import reach_of
from snas_nni.supernet.evaluating import suited

__all__ = ["CostModel", "count_child", "count_supernet"]


def count_supernet(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    inputs: Tensor | tuple[Any, ...],
    convention: Convention | None = None,
) -> CostModel:
    """Count every candidate of a supernet, in any space, by running it on a sample input.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        inputs: a sample input, or the tuple of arguments of ``forward``. Costs are for this batch, so give one
            with a single image.
        convention: what counts; everything by default, :meth:`Convention.paper` for the paper's.

    Raises:
        SnasError: operations that cannot be counted, by name.
        UnsupportedSpaceError: candidates of unequal shapes, by label.
    """
    convention = convention or Convention()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    _, trace = count_operations(supernet, arguments, distribution=distribution, convention=convention)

    def run(values: Mapping[str, int]) -> Count:
        return count_operations(supernet, arguments, distribution=distribution, values=values, convention=convention)[0]

    lacks = trace.dropped_channels
    choices = {**distribution.choices, **missing_channels(lacks)}
    operations = [
        (owner_of(owner, lacks), condition, {name: substituted(size, lacks) for name, size in sizes.items()})
        for owner, condition, sizes in operation_polynomials(
            run, sorted({*trace.slicing_labels, *lacks}), choices, lacks
        )
    ]

    def summed(name: str) -> dict[Owner, list[Polynomial]]:
        by_owner: dict[Owner, list[Polynomial]] = defaultdict(list)
        for owner, condition, sizes in operations:
            by_owner[owner].append(condition * sizes[name])
        return by_owner

    unread = summed("unread_params")

    def stored(size_of: Callable[[Tensor], float]) -> dict[Owner, list[Polynomial]]:
        # Columns that a child lacks are those of a matrix.
        entry = float(size_of(suited(torch.empty(1, 1, dtype=torch.float32), supernet)))
        by_owner = {owner: [part * -entry for part in parts] for owner, parts in unread.items()}
        for owner, polynomial in parameter_polynomials(supernet, convention, size_of).items():
            by_owner.setdefault(owner, []).append(polynomial)
        return by_owner

    by_name = {}
    for name in counted_costs():
        size_of = COSTS[name].of_parameter
        by_name[name] = summed(name) if size_of is None else stored(size_of)
    parts = {
        name: {owner: total for owner, p in by_owner.items() if (total := Polynomial.sum(p)).terms or owner is None}
        for name, by_owner in by_name.items()
    }
    peaks = [(condition, sizes["activation_peak"]) for _, condition, sizes in operations]
    return CostModel(distribution.choices, parts, peaks, reach_of(trace, distribution))


def count_child(
    child: nn.Module, inputs: Tensor | tuple[Any, ...], convention: Convention | None = None
) -> dict[str, float]:
    """Count a plain network by the same rules, from the network alone.

    Args:
        child: a module without choices.
        inputs: a sample input with a single image, or the tuple of arguments of ``forward``.
        convention: what counts.

    Returns:
        Every cost that is counted, and ``activation_peak`` (elements).
    """
    convention = convention or Convention()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    count, _ = count_operations(child, arguments, convention=convention)
    costs = {}
    for name in counted_costs():
        size_of = COSTS[name].of_parameter
        if size_of is None:
            costs[name] = math.fsum(count.costs[name])
        else:
            parts = parameter_polynomials(child, convention, size_of).values()
            costs[name] = Polynomial.sum(parts).terms.get((), 0.0)
    return {**costs, "activation_peak": max(count.costs["activation_peak"], default=0.0)}
