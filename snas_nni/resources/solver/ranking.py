"""The k most probable children, within bounds or without, in exact order.

Labels that cost nothing are independent of the others, and their categories are sorted by probability. Labels that
bounded costs depend on are one joint variable, whose outcomes the solver gives one after the other: each is excluded
from the next question. The best children of all are the best combinations of these sorted lists.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.resources.solver.program import Program
from snas_nni.resources.solver.selection import Selection, objective_of

__all__ = ["best_combinations", "most_probable_children"]

Categories = dict[str, tuple[int, ...]]
"""The category of each row, by label."""


def most_probable_children(
    distribution: ArchitectureDistribution,
    count: int,
    model: CostModel | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> list[Selection]:
    """The ``count`` most probable children whose costs lie within ``bounds``, the most probable first.

    Probabilities are compared in float64; the solver separates children whose log-probabilities differ by 1e-6.

    Args:
        distribution: gives the probabilities. Excluded candidates are in no child.
        count: how many, at least 1; fewer are returned where there are fewer.
        model: gives the costs; not needed without bounds.
        bounds: lowest and highest allowed value of each bounded cost, by name.

    Raises:
        SnasError: the solver found no child in time.
    """
    program = Program(model, list(bounds)) if model is not None and bounds else None
    together = program.labels if program is not None else []
    variables: list[_Sorted] = []
    for label in distribution.choices:
        if label in together:
            continue
        rows = torch.log_softmax(distribution.rows_of(label).detach().double().cpu(), -1)
        for number, row in enumerate(rows.tolist()):
            variables.append(_Sorted(_of_row(label, number, row)))
    if program is not None and model is not None and bounds:
        if together:
            variables.append(_Sorted(_of_solver(distribution, program, model, bounds)))
        elif program.within(model, bounds) is None:
            return []
    best = distribution.log_probability(distribution.mode())
    found = best_combinations(variables, count)
    children = []
    for log_probability, parts in found:
        categories: dict[str, dict[int, int]] = {}
        for part in parts:
            for (label, number), category in part.items():
                categories.setdefault(label, {})[number] = category
        sample: dict[str, Any] = {
            label: choice.value([category for _, category in sorted(categories[label].items())])
            for label, choice in distribution.choices.items()
        }
        children.append(Selection(sample, max(0.0, best - log_probability)))
    return children


Part = dict[tuple[str, int], int]
"""The category of some rows, by label and number of the row."""


class _Sorted:
    """A list that is sorted by falling log-probability, computed as far as it is asked for."""

    def __init__(self, items: Iterator[tuple[float, Part]]) -> None:
        self._items = items
        self._known: list[tuple[float, Part]] = []

    def at(self, position: int) -> tuple[float, Part] | None:
        while len(self._known) <= position:
            item = next(self._items, None)
            if item is None:
                return None
            self._known.append(item)
        return self._known[position]


def _of_row(label: str, number: int, log_probabilities: Sequence[float]) -> Iterator[tuple[float, Part]]:
    order = sorted(range(len(log_probabilities)), key=lambda index: -log_probabilities[index])
    for index in order:
        if log_probabilities[index] > -math.inf:
            yield log_probabilities[index], {(label, number): index}


def _of_solver(
    distribution: ArchitectureDistribution,
    program: Program,
    model: CostModel,
    bounds: Mapping[str, tuple[float, float]],
) -> Iterator[tuple[float, Part]]:
    objective, log_probabilities, allowed = objective_of(distribution, program)
    constraints = [*allowed]
    while True:
        chosen = program.solve_within(model, bounds, objective, constraints)
        if chosen is None:
            return
        constraints.append(program.without(chosen))
        value = sum(log_probabilities[label][index] for label, index in chosen.items())
        yield value, {(label, 0): index for label, index in chosen.items()}


def best_combinations(variables: Sequence[Any], count: int) -> list[tuple[float, list[Any]]]:
    """The ``count`` best ways to take one item of each sorted list, by the sum of their values, the best first.

    Args:
        variables: ``at(position)`` returns a value and an item, or None beyond the list's end; values fall.
        count: how many.
    """
    at: Callable[[int, int], Any] = lambda variable, position: variables[variable].at(position)  # noqa: E731

    def value_of(positions: tuple[int, ...]) -> float | None:
        items = [at(variable, position) for variable, position in enumerate(positions)]
        return None if any(item is None for item in items) else math.fsum(item[0] for item in items)

    first = (0,) * len(variables)
    value = value_of(first)
    heap = [] if value is None else [(-value, first)]
    seen = {first}
    found: list[tuple[float, list[Any]]] = []
    while heap and len(found) < count:
        negative, positions = heapq.heappop(heap)
        found.append((-negative, [at(variable, position)[1] for variable, position in enumerate(positions)]))
        for variable in range(len(variables)):
            following = (*positions[:variable], positions[variable] + 1, *positions[variable + 1 :])
            if following not in seen:
                seen.add(following)
                value = value_of(following)
                if value is not None:
                    heapq.heappush(heap, (-value, following))
    return found
