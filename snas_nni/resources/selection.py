"""The most probable child whose costs lie within bounds, found exactly by mixed-integer programming.

Maximises sum over labels of log p(Z_label) over one-hot Z, subject to lower <= C(Z) <= upper. Each product of entries
in C becomes a variable that linear constraints force to the product; scipy's HiGHS solver does the rest. It works in
floating point, to a tolerance that may let a child pass that exceeds a bound by a little, so every solution is
evaluated exactly, and excluded if it is outside.

Costs of high degree (cells whose outputs depend on which nodes nobody reads) can be more than the solver gets through.
After a time limit its best child so far is taken, and a warning says so; bounds that it has proven are bounds still.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.errors import SnasError
from snas_nni.resources.costs import CostModel

__all__ = ["Selection", "cost_range", "feasible", "most_probable"]

MAX_EXCLUDED = 20
SECONDS = 20.0
"""Time limit of the search for a child."""
RANGE_SECONDS = 5.0
"""Time limit of the search for one end of the range of costs."""
_OUT_OF_TIME = 1  # scipy's status

_logger = logging.getLogger(__name__)


class OutOfTimeError(SnasError):
    """The solver found nothing in time, and does not know whether there is anything."""


@dataclass(frozen=True)
class Selection:
    """A child within bounds.

    Attributes:
        sample: its NNI sample.
        log_probability_given_up: log-probability of the mode minus that of this child, in nats, >= 0.
    """

    sample: dict[str, Any]
    log_probability_given_up: float


class _Program:
    """Binary variables for the entries of Z that have a cost, and one for each product of them."""

    def __init__(self, model: CostModel, names: Sequence[str]) -> None:
        terms = {term for name in names for term in model.polynomials[name].terms if term}
        self.labels = sorted({label for term in terms for label, _ in term})
        self.column: dict[Any, int] = {}
        for label in self.labels:
            for index in range(len(model.choices[label].candidates)):
                self.column[(label, index)] = len(self.column)
        self.entries = len(self.column)
        self.products = sorted(term for term in terms if len(term) > 1)
        for term in self.products:
            self.column[term] = len(self.column)
        self.sizes = {label: len(model.choices[label].candidates) for label in self.labels}
        self.structure = self._structure()

    def _structure(self) -> list[LinearConstraint]:
        rows: list[tuple[dict[int, float], float, float]] = []
        for label in self.labels:
            rows.append(({self.column[(label, k)]: 1.0 for k in range(self.sizes[label])}, 1.0, 1.0))
        for term in self.products:
            product = self.column[term]
            entries = [self.column[entry] for entry in term]
            for entry in entries:
                rows.append(({product: 1.0, entry: -1.0}, -np.inf, 0.0))
            rows.append(({product: 1.0, **dict.fromkeys(entries, -1.0)}, 1.0 - len(entries), np.inf))
        return [self._constraint(rows)] if rows else []

    def _constraint(self, rows: Sequence[tuple[Mapping[int, float], float, float]]) -> LinearConstraint:
        cells = [(i, column, value) for i, (row, _, _) in enumerate(rows) for column, value in row.items()]
        i, j, values = zip(*cells, strict=True)
        matrix = coo_array((values, (i, j)), shape=(len(rows), len(self.column))).tocsr()
        return LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])

    def coefficients(self, polynomial: Polynomial) -> tuple[dict[int, float], float]:
        row = {
            self.column[term[0] if len(term) == 1 else term]: value for term, value in polynomial.terms.items() if term
        }
        return row, polynomial.terms.get((), 0.0)

    def bounded(self, polynomial: Polynomial, lower: float, upper: float) -> LinearConstraint | None:
        row, constant = self.coefficients(polynomial)
        if not row:
            return None
        low, high = lower - constant, upper - constant
        unit = _common_unit(row.values())
        if unit is None:
            unit = max(abs(value) for value in row.values())  # HiGHS works to an absolute tolerance
            low, high = low / unit, high / unit
        else:  # whole numbers: half a unit beyond the last one that is allowed, nothing lies near the bound
            low = math.ceil(low / unit) - 0.5 if low > -math.inf else low
            high = math.floor(high / unit) + 0.5 if high < math.inf else high
        return self._constraint([({column: value / unit for column, value in row.items()}, low, high)])

    def within(self, model: CostModel, bounds: Mapping[str, tuple[float, float]]) -> list[LinearConstraint] | None:
        """The bounds as constraints; None if a cost that no choice changes lies outside."""
        constraints = []
        for name, (lower, upper) in bounds.items():
            constraint = self.bounded(model.polynomials[name], lower, upper)
            if constraint is not None:
                constraints.append(constraint)
            elif not lower <= model.polynomials[name].terms.get((), 0.0) <= upper:
                return None
        return constraints

    def without(self, chosen: Mapping[str, int]) -> LinearConstraint:
        """Excludes one child."""
        row = {self.column[entry]: 1.0 for entry in chosen.items()}
        return self._constraint([(row, -np.inf, len(row) - 1.0)])

    def solve_within(
        self, model: CostModel, bounds: Mapping[str, tuple[float, float]], objective: np.ndarray[Any, Any]
    ) -> dict[str, int] | None:
        """The best child that lies within the bounds exactly; None if there is none."""
        constraints = self.within(model, bounds)
        if constraints is None:
            return None
        for attempt in range(2 * MAX_EXCLUDED):
            chosen = self.solve(objective, constraints)
            if chosen is None:
                return None
            costs = {name: model.polynomials[name].value(chosen) for name in bounds}
            outside = {name for name, (low, high) in bounds.items() if not low <= costs[name] <= high}
            if not outside:
                return chosen
            if attempt < MAX_EXCLUDED:
                constraints.append(self.without(chosen))
                continue
            for name in outside:  # many children within the tolerance of a bound: keep away from it
                lower, upper = bounds[name]
                row, _ = self.coefficients(model.polynomials[name])
                margin = 1e-6 * max(map(abs, row.values())) * 2.0 ** (attempt - MAX_EXCLUDED)
                tightened = self.bounded(model.polynomials[name], lower + margin, upper - margin)
                constraints.append(cast(LinearConstraint, tightened))
        return None

    def optimise(self, objective: np.ndarray[Any, Any], extra: Sequence[LinearConstraint], seconds: float) -> Any:
        return milp(
            objective,
            constraints=[*self.structure, *extra],
            integrality=np.ones(len(self.column)),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0, "time_limit": seconds},
        )

    def solve(self, objective: np.ndarray[Any, Any], extra: Sequence[LinearConstraint]) -> dict[str, int] | None:
        """The best child; None if there is none.

        Raises:
            OutOfTimeError: none was found in time.
        """
        result = self.optimise(objective, extra, SECONDS)
        if result.status == _OUT_OF_TIME:
            if result.x is None:
                raise OutOfTimeError(
                    f"no child within the bounds was found in {SECONDS:g} s; whether there is one is not known. "
                    "Raise the bounds, or make the space smaller."
                )
            _logger.warning(
                "a child within the bounds was found, but not shown to be the most probable one in %g s", SECONDS
            )
        return None if result.x is None else self.chosen(result.x)

    def chosen(self, values: np.ndarray[Any, Any]) -> dict[str, int]:
        """Read the child out of the variables' values."""
        return {
            label: int(np.argmax([values[self.column[(label, k)]] for k in range(self.sizes[label])]))
            for label in self.labels
        }


def cost_range(model: CostModel, name: str) -> tuple[float, float]:
    """Cost of the cheapest and of the dearest child of the space.

    Where the solver runs out of time, all children lie between the two, and a warning tells that none may reach them.
    """
    program = _Program(model, [name])
    polynomial = model.polynomials[name]
    row, constant = program.coefficients(polynomial)
    if not row:
        return constant, constant
    objective = np.zeros(len(program.column))
    unit = _common_unit(row.values()) or 1e-3 * max(abs(value) for value in row.values())
    for column, value in row.items():
        objective[column] = value / unit
    ends = []
    for sign in (1.0, -1.0):
        result = program.optimise(objective * sign, [], RANGE_SECONDS)
        if result.status == _OUT_OF_TIME or result.x is None:
            _logger.warning(
                "%s: the range of costs was not found in %g s; it is inside what is told", name, RANGE_SECONDS
            )
            proven = result.mip_dual_bound
            beyond = sum(max(0.0, -sign * value) for value in row.values())  # what no child can go beyond
            least = max(-beyond, proven * unit if proven is not None else -math.inf)
            ends.append(max(0.0, constant + sign * least))  # no cost is negative
        else:
            ends.append(polynomial.value(program.chosen(result.x)))
    return ends[0], ends[1]


def feasible(model: CostModel, bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether any child's costs lie within ``bounds`` (lowest and highest allowed value, by name).

    True also where that is not known in time.
    """
    program = _Program(model, list(bounds))
    if not program.labels:
        return program.within(model, bounds) is not None
    try:
        return program.solve_within(model, bounds, np.zeros(len(program.column))) is not None
    except OutOfTimeError:
        return True


def most_probable(
    distribution: ArchitectureDistribution,
    model: CostModel,
    bounds: Mapping[str, tuple[float, float]],
) -> Selection | None:
    """The most probable child whose costs lie within ``bounds``.

    Args:
        distribution: gives the probabilities.
        model: gives the costs.
        bounds: lowest and highest allowed value of each bounded cost, by name.

    Returns:
        The child, or None if no child lies within all bounds.

    Raises:
        SnasError: none was found in time.
    """
    program = _Program(model, list(bounds))
    mode = distribution.mode()
    log_probabilities = {
        label: torch.log_softmax(distribution.rows_of(label).detach().double(), -1)[0].tolist()
        for label in program.labels
    }
    if not program.labels:
        return None if program.within(model, bounds) is None else Selection(mode, 0.0)
    objective = np.zeros(len(program.column))
    for label in program.labels:
        for index, value in enumerate(log_probabilities[label]):
            objective[program.column[(label, index)]] = -value
    chosen = program.solve_within(model, bounds, objective)
    if chosen is None:
        return None
    sample = {**mode, **{label: model.choices[label].value([index]) for label, index in chosen.items()}}
    given_up = sum(max(log_probabilities[label]) - log_probabilities[label][index] for label, index in chosen.items())
    return Selection(sample, given_up)


def _common_unit(values: Iterable[float]) -> float | None:
    """Largest number that all of ``values`` are whole multiples of, if they are whole numbers."""
    if any(value != int(value) for value in values):
        return None
    return float(math.gcd(*map(int, values)))
