"""Budgets: "at most 2.3 M parameters", met by the child and not only in expectation.

During the search an augmented Lagrangian pulls the expected cost below the budget. With the violation
g = E[C] / budget - 1, the term added to the loss is

    (max(0, m + r g)^2 - m^2) / (2 r),

whose gradient is max(0, m + r g) dg; the multiplier m follows by dual ascent, m <- max(0, m + s g), once per step.
The bound itself tightens with the temperature, from the expected cost before the first step to the budget when 30 %
of the temperature's fall are left: at first the weights know nothing, and a strong pull would decide
the search before the task has a say. In a budget that does not bind, m stays at 0 and the search is as without it.
At the end the child is the most probable one within the budget (:mod:`snas_nni.resources.selection`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources.costs import CostModel
from snas_nni.resources.selection import Selection, cost_range, feasible, most_probable

__all__ = ["Budget", "BudgetController", "BudgetReport"]

_TIGHT_AT = 0.3
_COSTS = ("params", "macs", "memory_access", "latency_ms")


@dataclass(frozen=True)
class Budget:
    """Upper bounds on what a child costs; give one or several.

    Attributes:
        params: parameters.
        macs: multiply-accumulates for one sample input.
        memory_access: elements read plus written for one sample input.
        latency_ms: milliseconds by the latency table.
        target: the child shall also not cost less than (1 - tolerance) times each budget. Otherwise that is asked
            only where the budget binds: a budget that the search had to be held back by is meant to be used.
        tolerance: in (0, 1).

    Raises:
        SettingError: no bound, or a value outside its range.

    Example:
        >>> budget = Budget(params=2.3e6, latency_ms=5)
        >>> budget.bounds
        {'params': 2300000.0, 'latency_ms': 5}
        >>> from snas_nni import SNAS
        >>> strategy = SNAS(budget=budget, latency_table="laptop.json")  # read when the search begins
        >>> Budget()
        Traceback (most recent call last):
        snas_nni.errors.SettingError: a budget needs at least one of params, macs, memory_access, latency_ms.
    """

    params: float | None = None
    macs: float | None = None
    memory_access: float | None = None
    latency_ms: float | None = None
    target: bool = False
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if not self.bounds:
            raise SettingError(f"a budget needs at least one of {', '.join(_COSTS)}.")
        for name, bound in self.bounds.items():
            if not 0 < bound < math.inf:
                raise SettingError(f"budget of {name} must be positive and finite, got {bound}.")
        if not 0 < self.tolerance < 1:
            raise SettingError(f"tolerance of a budget must be in (0, 1), got {self.tolerance}.")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that were given, by name of the cost."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _COSTS}
        return {name: bound for name, bound in given.items() if bound is not None}


@dataclass(frozen=True)
class BudgetReport:
    """How a child meets its budget.

    Attributes:
        sample: the child's NNI sample.
        within: whether every cost is at most its bound.
        costs: the child's bounded costs.
        mode_costs: those of the mode, which may exceed the budget.
        expected_costs: expectations under the distribution.
        bounds: the budget.
        log_probability_given_up: nats between the mode and the child.
    """

    sample: dict[str, Any]
    within: bool
    costs: dict[str, float]
    mode_costs: dict[str, float]
    expected_costs: dict[str, float]
    bounds: dict[str, float]
    log_probability_given_up: float

    def __str__(self) -> str:
        lines = []
        for name, bound in self.bounds.items():
            cost = self.costs[name]
            lines.append(
                f"{name}: {cost:,.6g} of {bound:,.6g} ({100 * cost / bound:.1f} %"
                f"{'' if cost <= bound else ', OVER BUDGET'}); "
                f"mode {self.mode_costs[name]:,.6g}, expected {self.expected_costs[name]:,.6g}"
            )
        if self.log_probability_given_up > 0:
            lines.append(f"log-probability given up for the budget: {self.log_probability_given_up:.3f} nats")
        return "\n".join(lines)


class BudgetController:
    """A regularizer that keeps the expected costs within a budget.

    Args:
        budget: the bounds.
        rate: s, how fast the multiplier follows the violation, > 0.
        stiffness: r, > 0.
        final_temperature: where the temperature ends, >= 0. If it does not fall, the bound is tight from the start.
    """

    name = "budget"

    def __init__(
        self, budget: Budget, *, rate: float = 0.1, stiffness: float = 10.0, final_temperature: float = 0.0
    ) -> None:
        for setting, value in (("rate", rate), ("stiffness", stiffness)):
            if not 0 < value < math.inf:
                raise SettingError(f"{setting} of a budget's controller must be > 0 and finite, got {value}.")
        if not 0 <= final_temperature < math.inf:
            raise SettingError(f"final_temperature of a budget's controller must be >= 0, got {final_temperature}.")
        self.budget = budget
        self.rate = rate
        self.stiffness = stiffness
        self.final_temperature = final_temperature
        self.multipliers = dict.fromkeys(budget.bounds, 0.0)
        self.binding = dict.fromkeys(budget.bounds, False)
        """Whether the search had to be held back once the bound had reached the budget."""
        self._start: dict[str, float] = {}
        self._initial_temperature: float | None = None
        self.read: dict[str, Tensor] = {}
        """The weights that the last call read, by label; telemetry watches their gradients."""
        self._model: CostModel | None = None

    @property
    def costs(self) -> dict[str, float]:
        """The bounds, by name of the cost: what has to be counted for it, under the name that a penalty has too."""
        return self.budget.bounds

    def prepare(self, model: CostModel) -> None:
        """Learn what the candidates cost, and refuse a budget that no child or every child meets.

        Raises:
            SettingError: with the cost of the cheapest or of the dearest child.
        """
        for name, bound in self.budget.bounds.items():
            model.check(name)
            cheapest, dearest = cost_range(model, name)
            if bound < cheapest:
                raise SettingError(
                    f"budget of {name} is {bound:,.6g}, below the cheapest child of the space ({cheapest:,.6g}; "
                    f"the dearest has {dearest:,.6g}). Raise the budget, or make the space smaller."
                )
            if bound >= dearest:
                raise SettingError(
                    f"budget of {name} is {bound:,.6g}, not below the dearest child of the space ({dearest:,.6g}; "
                    f"the cheapest has {cheapest:,.6g}). Every child meets it: leave it out."
                )
        self._model = model
        if not feasible(model, {name: (-math.inf, bound) for name, bound in self.budget.bounds.items()}):
            raise SettingError("no child of the space meets all bounds of the budget together. Raise one of them.")

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> Tensor:
        """The augmented Lagrangian's term, a scalar; also moves the multipliers."""
        terms = []
        self.read = {label: distribution.expected_weights(label) for label in distribution.choices}
        looseness = self._looseness(sample.temperature)
        for name, budget in self.budget.bounds.items():
            expected = self._prepared().cost(name, self.read)
            start = self._start.setdefault(name, float(expected.detach()))
            violation = expected / (budget + looseness * max(0.0, start - budget)) - 1
            multiplier, r = self.multipliers[name], self.stiffness
            terms.append((torch.clamp(multiplier + r * violation, min=0) ** 2 - multiplier**2) / (2 * r))
            self.multipliers[name] = max(0.0, multiplier + self.rate * float(violation.detach()))
            self.binding[name] |= looseness == 0 and self.multipliers[name] > 0
        return torch.stack(terms).sum()

    def _looseness(self, temperature: float) -> float:
        """1 at the first step, 0 once the temperature has fallen far enough."""
        if self._initial_temperature is None:
            self._initial_temperature = temperature
        fall = self._initial_temperature - self.final_temperature
        if fall <= 0:
            return 0.0
        left = (temperature - self.final_temperature) / fall
        return min(1.0, max(0.0, (left - _TIGHT_AT) / (1 - _TIGHT_AT)))

    def metrics(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Multipliers, expected and mode costs, for the log."""
        model, mode_costs = self._prepared(), self._prepared().of(distribution.mode())
        found: dict[str, float] = {}
        with torch.no_grad():
            for name in self.budget.bounds:
                found[f"budget/{name}/multiplier"] = self.multipliers[name]
                found[f"budget/{name}/expected"] = float(model.expected(name, distribution))
                found[f"budget/{name}/mode"] = mode_costs[name]
        return found

    def select(self, distribution: ArchitectureDistribution) -> BudgetReport:
        """The child: the most probable one within the budget.

        Where the budget binds, or is a target, the child is sought between (1 - tolerance) and 1 times the budget
        first, and anywhere below it if there is none.

        Raises:
            SnasError: no child meets the budget (:meth:`prepare` has ruled that out).
        """
        model, bounds = self._prepared(), self.budget.bounds
        low = 1 - self.budget.tolerance
        band = {
            name: (low * bound if self.budget.target or self.binding[name] else -math.inf, bound)
            for name, bound in bounds.items()
        }
        below = {name: (-math.inf, bound) for name, bound in bounds.items()}
        chosen: Selection | None = most_probable(distribution, model, band)
        chosen = chosen or most_probable(distribution, model, below)
        if chosen is None:
            raise SnasError(f"no child of the space meets the budget {bounds}.")
        costs, mode_costs = model.of(chosen.sample), model.of(distribution.mode())
        with torch.no_grad():
            expected = {name: float(model.expected(name, distribution)) for name in bounds}
        return BudgetReport(
            sample=chosen.sample,
            within=all(costs[name] <= bound for name, bound in bounds.items()),
            costs={name: costs[name] for name in bounds},
            mode_costs={name: mode_costs[name] for name in bounds},
            expected_costs=expected,
            bounds=bounds,
            log_probability_given_up=chosen.log_probability_given_up,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "multipliers": dict(self.multipliers),
            "binding": dict(self.binding),
            "start": dict(self._start),
            "initial_temperature": self._initial_temperature,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.multipliers.update(state["multipliers"])
        self.binding.update(state["binding"])
        self._start.update(state["start"])
        self._initial_temperature = state["initial_temperature"]

    def _prepared(self) -> CostModel:
        if self._model is None:
            raise SnasError("the budget does not know the costs yet: call prepare(cost_model) first.")
        return self._model
