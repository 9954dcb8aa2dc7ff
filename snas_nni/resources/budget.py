"""Budgets: "at most 2.3 M parameters", met by the child and not only in expectation; and how a child meets one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from snas_nni.errors import SettingError
from snas_nni.ranges import require_one_of
from snas_nni.resources.cost_info import COSTS
from snas_nni.resources.share import Bound, checked_bound
from snas_nni.showing.calls import arguments_in_words
from snas_nni.showing.tables import html_table

__all__ = ["Budget", "BudgetReport", "Pull"]

Pull = Literal["expected", "sampled", "both"]


@dataclass(frozen=True, init=False)
class Budget:
    """Upper bounds on what a child costs; give one or several, such as ``Budget(params=2.3e6, latency_ms=5)``.

    Attributes:
        bounds: by the cost's key in :data:`~snas_nni.resources.COSTS`, each an argument of that name: a number, or a
            share of what the dearest child costs, such as ``"60%"``, kept as a :class:`~snas_nni.resources.Share`.
        target: the bounds are meant to be used: look for a child that costs no less than (1 - tolerance) times each
            of them first. Otherwise the most probable child within them is the child, however little it costs.
        tolerance: in (0, 1).
        fill: a child that costs less than (1 - tolerance) times every bound gets larger candidates, see
            :func:`snas_nni.resources.solver.filling.filled`: faster than ``target``, and not the most probable one.
        exclude: take the candidates that no child within the bounds has out of the search before its first step.
        pull: which cost the search is held back by: the "expected" one, the "sampled" one, or "both"; see
            :class:`~snas_nni.resources.BudgetController`.

    Raises:
        SettingError: no bound, or a value outside its range.

    Examples:
        >>> budget = Budget(params=2.3e6, latency_ms=5)
        >>> budget.bounds
        {'params': 2300000.0, 'latency_ms': 5}
        >>> str(Budget(macs="60%").bounds["macs"])  # of the dearest child
        '60%'
        >>> from snas_nni import SNAS
        >>> strategy = SNAS(budget=budget, latency_table="laptop.json")  # read when the search begins
        >>> Budget(tolerance=2, params=1)
        Traceback (most recent call last):
        snas_nni.errors.SettingError: tolerance of a budget must be in (0, 1), got 2.
    """

    bounds: dict[str, Bound]
    target: bool = False
    tolerance: float = 0.05
    exclude: bool = True
    pull: Pull = "both"
    fill: bool = False

    def __init__(
        self,
        *,
        target: bool = False,
        tolerance: float = 0.05,
        exclude: bool = True,
        pull: Pull = "both",
        fill: bool = False,
        **bounds: Bound | str | None,
    ) -> None:
        for name in bounds:
            if name not in COSTS:
                raise TypeError(f"a budget has no argument {name!r}; there are {', '.join(COSTS)}.")
        given = {
            name: checked_bound(f"budget of {name}", bound) for name in COSTS if (bound := bounds.get(name)) is not None
        }
        values = {"bounds": given, "target": target, "tolerance": tolerance, "exclude": exclude, "pull": pull}
        values["fill"] = fill
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)  # the class is frozen
        if not self.bounds:
            raise SettingError(f"a budget needs at least one of {', '.join(COSTS)}.")
        if not 0 < self.tolerance < 1:
            raise SettingError(f"tolerance of a budget must be in (0, 1), got {self.tolerance}.")
        require_one_of("pull of a budget", self.pull, get_args(Pull))

    def __repr__(self) -> str:
        plain = {name: bound if isinstance(bound, (int, float)) else str(bound) for name, bound in self.bounds.items()}
        bounds = [f"{name}={bound!r}" for name, bound in plain.items()]
        others = {name: getattr(self, name) for name in ("target", "tolerance", "exclude", "pull", "fill")}
        changed = arguments_in_words(Budget.__init__, others)
        return f"Budget({', '.join([*bounds, *([changed] if changed else [])])})"


@dataclass(frozen=True)
class BudgetReport:
    """How a child meets its budget.

    Attributes:
        sample: the child's NNI sample.
        within: whether every cost is at most its bound.
        costs: the child's bounded costs.
        mode_costs: those of the mode, which may exceed the budget.
        expected_costs: expectations under the distribution; of costs that add up.
        bounds: the budget.
        log_probability_given_up: nats between the mode and the child.
        notes: what the user should know about the bounds, a sentence each.
    """

    sample: dict[str, Any]
    within: bool
    costs: dict[str, float]
    mode_costs: dict[str, float]
    expected_costs: dict[str, float]
    bounds: dict[str, float]
    log_probability_given_up: float
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        rows = [
            (
                name,
                f"{self.costs[name]:,.6g}",
                f"{bound:,.6g}",
                f"{100 * self.costs[name] / bound:.1f} %",
                f"{self.mode_costs[name]:,.6g}",
                f"{self.expected_costs[name]:,.6g}" if name in self.expected_costs else "",
            )
            for name, bound in self.bounds.items()
        ]
        given_up = [(f"log-probability given up for the budget: {self.log_probability_given_up:.3f} nats",)]
        notes = [*(given_up if self.log_probability_given_up > 0 else []), *((note,) for note in self.notes)]
        title = "Within the budget" if self.within else "OVER BUDGET"
        table = html_table(title, rows, ("cost", "child", "bound", "share", "mode", "expected"))
        return table + (html_table("", notes) if notes else "")

    def __str__(self) -> str:
        lines = []
        for name, bound in self.bounds.items():
            cost = self.costs[name]
            expected = f", expected {self.expected_costs[name]:,.6g}" if name in self.expected_costs else ""
            lines.append(
                f"{name}: {cost:,.6g} of {bound:,.6g} ({100 * cost / bound:.1f} %"
                f"{'' if cost <= bound else ', OVER BUDGET'}); mode {self.mode_costs[name]:,.6g}{expected}"
            )
        if self.log_probability_given_up > 0:
            lines.append(f"log-probability given up for the budget: {self.log_probability_given_up:.3f} nats")
        lines.extend(self.notes)
        return "\n".join(lines)
