"""The mixed-integer program behind every question about the children within bounds.

Each product of entries of Z in a cost becomes a variable that linear constraints force to the product; scipy's HiGHS
solver does the rest. Where labels have few combinations, each of these has a variable, and those with one entry in
common sum up to it: one of a label's candidates is chosen, whatever the others are (the reformulation-linearization of
Sherali and Adams, SIAM J. Discrete Math. 3(3), 1990). That leaves little to guess where many widths multiply. The
solver works in floating point, to a tolerance that may let a child pass that exceeds a bound by a little, so every
solution is evaluated exactly, and excluded if it is outside.

Costs of high degree (cells whose outputs depend on which nodes nobody reads) can be more than the solver gets through.
After a time limit its best child so far is taken, and a warning says so; bounds that it has proven are bounds still.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from snas_nni.cost_model import CostModel
from snas_nni.distribution.polynomial import Polynomial, Term
from snas_nni.errors import SnasError

__all__ = ["OUT_OF_TIME", "OutOfTimeError", "Program", "common_unit"]

MAX_EXCLUDED = 20
GRID = 1024
"""Most combinations of some labels' candidates that each get a variable."""
ALL_GRIDS = 20_000
"""Most of them in a program."""
SECONDS = 20.0
"""Time limit of the search for a child."""
OUT_OF_TIME = 1
"""scipy's status."""

_logger = logging.getLogger(__name__)


class OutOfTimeError(SnasError):
    """The solver found nothing in time, and does not know whether there is anything."""


class Program:
    """Binary variables for the entries of Z that have a cost, and one for each product of them.

    Args:
        model: gives the costs.
        names: the costs that are bounded.

    Attributes:
        labels: those that the costs depend on.
        sizes: number of candidates of each.
        column: of each entry ``(label, index)``, and of each product of entries.
        entries: how many columns are those of entries; they come first.
        grids: labels whose combinations all have a column; the other products that costs have come last.
        is_proven: whether the last "there is none" is certain; not where the solver had to be kept away from a bound.
    """

    def __init__(self, model: CostModel, names: Sequence[str]) -> None:
        self.is_proven = True
        terms = {term for name in names for term in model.polynomials[name].terms if term}
        self.labels = sorted({label for term in terms for label, _ in term})
        self.column: dict[Any, int] = {}
        for label in self.labels:
            for index in range(len(model.choices[label].candidates)):
                self.column[(label, index)] = len(self.column)
        self.entries = len(self.column)
        self.sizes = {label: len(model.choices[label].candidates) for label in self.labels}
        self.grids = self._grids([term for term in terms if len(term) > 1])
        for labels in self.grids:
            for combination in self._combinations(labels):
                self.column[tuple(zip(labels, combination, strict=True))] = len(self.column)
        self.products = sorted(term for term in terms if len(term) > 1 and term not in self.column)
        self.whole = np.ones(len(self.column) + len(self.products))
        self.whole[self.entries : len(self.column)] = 0  # whole numbers by themselves once the entries are
        for term in self.products:
            self.column[term] = len(self.column)
        self.structure = self._structure()

    def _grids(self, products: Sequence[Term]) -> list[tuple[str, ...]]:
        """Sets of labels whose combinations all get a variable, the small ones first: with each set its subsets."""
        count = Counter(tuple(label for label, _ in term) for term in products)
        found: dict[tuple[str, ...], None] = {}
        left = ALL_GRIDS
        for labels in sorted(count, key=lambda each: (self._size(each), each)):
            size = self._size(labels)
            if size > GRID or count[labels] < size / 8:
                continue
            parts = [part for n in range(2, len(labels) + 1) for part in itertools.combinations(labels, n)]
            new = [part for part in parts if part not in found]
            if (more := sum(map(self._size, new))) <= left:
                found |= dict.fromkeys(new)
                left -= more
        return list(found)

    def _size(self, labels: Sequence[str]) -> int:
        return math.prod(self.sizes[label] for label in labels)

    def _combinations(self, labels: Sequence[str]) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(self.sizes[label]) for label in labels))

    def _structure(self) -> list[LinearConstraint]:
        rows: list[tuple[dict[int, float], float, float]] = []
        for label in self.labels:
            rows.append(({self.column[(label, k)]: 1.0 for k in range(self.sizes[label])}, 1.0, 1.0))
        for labels in self.grids:
            for label in labels:
                rest = tuple(each for each in labels if each != label)
                for combination in self._combinations(rest):
                    fixed = tuple(zip(rest, combination, strict=True))
                    whole = self.column[fixed[0] if len(fixed) == 1 else fixed]
                    parts = (tuple(sorted((*fixed, (label, k)))) for k in range(self.sizes[label]))
                    rows.append(({**{self.column[part]: 1.0 for part in parts}, whole: -1.0}, 0.0, 0.0))
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
        """A cost as a number for each column, and its constant part."""
        row = {
            self.column[term[0] if len(term) == 1 else term]: value for term, value in polynomial.terms.items() if term
        }
        return row, polynomial.terms.get((), 0.0)

    def bounded(self, polynomial: Polynomial, lower: float, upper: float) -> LinearConstraint | None:
        """A cost between two bounds; None for one that no choice changes."""
        row, constant = self.coefficients(polynomial)
        if not row:
            return None
        low, high = lower - constant, upper - constant
        unit = common_unit(row.values())
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

    def having(self, label: str, index: int) -> LinearConstraint:
        """Asks for children with one candidate."""
        return self._constraint([({self.column[(label, index)]: 1.0}, 1.0, 1.0)])

    def lacking(self, entries: Iterable[tuple[str, int]]) -> list[LinearConstraint]:
        """Asks for children without some candidates."""
        row = {self.column[entry]: 1.0 for entry in entries}
        return [self._constraint([(row, -np.inf, 0.0)])] if row else []

    def solve_within(
        self,
        model: CostModel,
        bounds: Mapping[str, tuple[float, float]],
        objective: np.ndarray[Any, Any],
        extra: Sequence[LinearConstraint] = (),
        seconds: float | None = None,
    ) -> dict[str, int] | None:
        """The best child that lies within the bounds exactly; None if there is none.

        Args:
            model: gives the costs.
            bounds: lowest and highest allowed value of each bounded cost, by name.
            objective: what to minimise, a number for each column.
            extra: further constraints.
            seconds: time limit of each attempt; ``SECONDS`` if None.

        Raises:
            OutOfTimeError: none was found in time.
        """
        self.is_proven = True
        constraints = self.within(model, bounds)
        if constraints is None:
            return None
        constraints += extra
        for attempt in range(2 * MAX_EXCLUDED):
            chosen = self.solve(objective, constraints, seconds)
            if chosen is None:
                return None
            costs = {name: model.polynomials[name].value(chosen) for name in bounds}
            outside = {name for name, (low, high) in bounds.items() if not low <= costs[name] <= high}
            if not outside:
                return chosen
            if attempt < MAX_EXCLUDED:
                constraints.append(self.without(chosen))
                continue
            self.is_proven = False
            for name in outside:  # many children within the tolerance of a bound: keep away from it
                lower, upper = bounds[name]
                row, _ = self.coefficients(model.polynomials[name])
                margin = 1e-6 * max(map(abs, row.values())) * 2.0 ** (attempt - MAX_EXCLUDED)
                tightened = self.bounded(model.polynomials[name], lower + margin, upper - margin)
                constraints.append(cast(LinearConstraint, tightened))
        return None

    def optimise(self, objective: np.ndarray[Any, Any], extra: Sequence[LinearConstraint], seconds: float) -> Any:
        """Ask the solver; return scipy's result."""
        return milp(
            objective,
            constraints=[*self.structure, *extra],
            integrality=self.whole,
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 0.0, "time_limit": seconds},
        )

    def solve(
        self, objective: np.ndarray[Any, Any], extra: Sequence[LinearConstraint], seconds: float | None = None
    ) -> dict[str, int] | None:
        """The best child; None if there is none.

        Raises:
            OutOfTimeError: none was found in time.
        """
        result = self.optimise(objective, extra, SECONDS if seconds is None else min(seconds, SECONDS))
        if result.status == OUT_OF_TIME:
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


def common_unit(values: Iterable[float]) -> float | None:
    """Largest number that all of ``values`` are whole multiples of, if they are whole numbers."""
    if any(value != int(value) for value in values):
        return None
    return float(math.gcd(*map(int, values)))
