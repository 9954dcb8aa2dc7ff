"""How a search is held within its budget.

Candidates that no child within the budget has are excluded before the first step
(:mod:`snas_nni.resources.solver.reachable`). During the search an augmented Lagrangian pulls the cost below the
budget. With the violation g = C / budget - 1 of the expected cost, the term added to the loss is

    (max(0, m + r g)^2 - m^2) / (2 r),

whose gradient is max(0, m + r g) dg; the multiplier m follows by dual ascent, m <- max(0, m + s g), once per step, and
falls again where the bound does not bind. An expected cost within the budget can be that of a mixture of children far
below and far above it. So the cost of what is drawn can be bounded too: h = max(0, C(Z) / budget - 1) of the step's
sample adds n h + r h^2 / 2, with a multiplier n of its own, n <- max(0, n + s (h - e)): it rises by what samples exceed
the budget on average, and falls by an allowance e while none does.

The bound tightens while the temperature falls, from the expected cost before the first step to the budget when 30 %
of the time of that fall are left: at first the weights know nothing, and a strong pull would decide
the search before the task has a say. It goes by time, since a temperature that falls fast at first is not a search
that is nearly over. In a budget that does not bind, m stays at 0 and the search is as without it.
The child is within the budget at every moment (:mod:`snas_nni.resources.solver.bounds`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError, SnasError
from snas_nni.ranges import require_one_of
from snas_nni.regularizer import Regularizer, RegularizerTerm
from snas_nni.resources.budget import Budget, BudgetReport, Pull
from snas_nni.resources.share import Share
from snas_nni.resources.solver.bounds import ChildBounds
from snas_nni.resources.solver.filling import filled

__all__ = ["BudgetController"]

_TIGHT_AT = 0.3


class BudgetController(Regularizer):
    """A regularizer that keeps costs within a budget.

    Args:
        budget: the bounds.
        rate: s, how fast the multipliers follow the violation, > 0.
        stiffness: r, > 0.
        final_temperature: where the temperature ends, >= 0. If it does not fall, the bound is tight from the start.
        pull: which cost is held back: the "expected" one, the "sampled" one, or "both"; None: as the budget says.
        allowance: e, how far samples may exceed a bound on average, as a share of it, > 0.
        redraws: once the bound is tight, how often a sample whose nearest child is not within the budget is drawn
            anew; the last one counts then. 0: never.
        time_left: maps a temperature to the share of the time of its fall that is left, in [0, 1]; None for a fall that
            is linear in time.
    """

    name = "budget"

    def __init__(
        self,
        budget: Budget,
        *,
        rate: float = 0.1,
        stiffness: float = 10.0,
        final_temperature: float = 0.0,
        pull: Pull | None = None,
        allowance: float = 0.01,
        redraws: int = 0,
        time_left: Callable[[float], float] | None = None,
    ) -> None:
        for setting, value in (("rate", rate), ("stiffness", stiffness), ("allowance", allowance)):
            if not 0 < value < math.inf:
                raise SettingError(f"{setting} of a budget's controller must be > 0 and finite, got {value}.")
        for setting, value in (("final_temperature", final_temperature), ("redraws", redraws)):
            if not 0 <= value < math.inf:
                raise SettingError(f"{setting} of a budget's controller must be >= 0, got {value}.")
        if pull is not None:
            require_one_of("pull of a budget's controller", pull, get_args(Pull))
        self.budget = budget
        self.rate = rate
        self.stiffness = stiffness
        self.final_temperature = final_temperature
        self.pull: Pull = budget.pull if pull is None else pull
        self.allowance = allowance
        self.redraws = redraws
        self._time_left = time_left
        self._multipliers = dict.fromkeys(budget.bounds, 0.0)
        self._sample_multipliers = dict.fromkeys(budget.bounds, 0.0)
        self._binding = dict.fromkeys(budget.bounds, False)
        self._unread: list[tuple[bool, str, Tensor, bool]] = []
        self._start: dict[str, float] = {}
        self._initial_temperature: float | None = None
        self._bounds: ChildBounds | None = None
        self.costs = budget.bounds

    @property
    def multipliers(self) -> dict[str, float]:
        """Of the expected costs."""
        self._settle()
        return self._multipliers

    @property
    def sample_multipliers(self) -> dict[str, float]:
        """Of what samples cost beyond the bounds."""
        self._settle()
        return self._sample_multipliers

    @property
    def binding(self) -> dict[str, bool]:
        """Whether the search had to be held back once the bound had reached the budget."""
        self._settle()
        return self._binding

    def unread(self) -> list[Tensor]:
        """Return the step's violations, which the multipliers follow."""
        return [violation for _, _, violation, _ in self._unread]

    def learn(self, numbers: Sequence[float]) -> None:
        """Move the multipliers."""
        for (of_sample, name, _, tight), number in zip(self._unread, numbers, strict=True):
            multipliers = self._sample_multipliers if of_sample else self._multipliers
            beyond = number - self.allowance if of_sample else number
            multipliers[name] = max(0.0, multipliers[name] + self.rate * beyond)
            self._binding[name] |= tight and multipliers[name] > 0
        self._unread = []

    def _settle(self) -> None:
        """Read by itself what no search has read."""
        if self._unread:
            self.learn([float(violation) for violation in self.unread()])

    @property
    def bounds(self) -> ChildBounds:
        """The budget in the space that is searched.

        Raises:
            SnasError: the costs are not known yet.
        """
        if self._bounds is None:
            raise SnasError("the budget does not know the costs yet: call prepare(cost_model) first.")
        return self._bounds

    @property
    def is_prepared(self) -> bool:
        """Whether the costs are known."""
        return self._bounds is not None

    def prepare(self, cost_model: CostModel) -> None:
        """Learn what the candidates cost, and refuse a budget that no child meets.

        Raises:
            SettingError: with the cost of the cheapest child.
        """
        if self._bounds is None or self._bounds.counted is not cost_model:
            self._bounds = ChildBounds(cost_model, self.budget.bounds)

    @property
    def excluded(self) -> dict[str, tuple[int, ...]]:
        """Candidates that no child within the budget has, as indices by label; none where the budget leaves them in."""
        return self.bounds.excluded if self.budget.exclude else {}

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> RegularizerTerm:
        """The augmented Lagrangian's term; the multipliers move once its numbers are read."""
        self._settle()
        looseness = self._looseness(sample.temperature)
        expected = {label: distribution.expected_weights(label) for label in distribution.choices}
        drawn = sample.mean_weights()
        terms = [next(iter(expected.values())).new_zeros(())]
        loose = {}
        for name, violation in self.bounds.violations(expected).items():
            # Of the bound as loose as it is now: from (C - b) / b to (C - b') / b'.
            if name not in self._start:
                self._start[name] = float(violation.detach())
            loose[name] = looseness * max(0.0, self._start[name])
            if self.pull != "sampled":
                terms.append(self._of_expected(name, (violation - loose[name]) / (1 + loose[name]), looseness == 0))
        if self.pull != "expected" and (self.pull == "sampled" or looseness == 0):
            for name, violation in self.bounds.violations(drawn).items():
                terms.append(self._of_sample(name, (violation - loose[name]) / (1 + loose[name]), looseness == 0))
        through_sample = self.pull == "sampled"
        return RegularizerTerm(torch.stack(terms).sum(), drawn if through_sample else expected, through_sample)

    def draw(self, draw: Callable[[], Sample]) -> Sample:
        """Draw a sample, anew while its nearest child is not within the budget and the bound is tight.

        So late in the search the weights that children share are trained on children that may be chosen.

        Args:
            draw: draws one.
        """
        sample = draw()
        if not (self.redraws and self.bounds.limits) or self._looseness(sample.temperature) > 0:
            return sample
        for _ in range(self.redraws):
            if self.bounds.meets(sample.values()):
                break
            sample = draw()
        return sample

    def _of_expected(self, name: str, violation: Tensor, tight: bool) -> Tensor:
        multiplier, r = self._multipliers[name], self.stiffness
        self._unread.append((False, name, violation.detach(), tight))
        return (torch.clamp(multiplier + r * violation, min=0) ** 2 - multiplier**2) / (2 * r)

    def _of_sample(self, name: str, violation: Tensor, tight: bool) -> Tensor:
        multiplier, r = self._sample_multipliers[name], self.stiffness
        excess = torch.clamp(violation, min=0)
        self._unread.append((True, name, excess.detach(), tight))
        return multiplier * excess + r * excess**2 / 2

    def _looseness(self, temperature: float) -> float:
        """1 at the first step, 0 once the temperature has fallen far enough."""
        if self._initial_temperature is None:
            self._initial_temperature = temperature
        if self._initial_temperature <= self.final_temperature:
            return 0.0
        left = self._left(temperature) / self._left(self._initial_temperature)
        return min(1.0, max(0.0, (left - _TIGHT_AT) / (1 - _TIGHT_AT)))

    def _left(self, temperature: float) -> float:
        return temperature - self.final_temperature if self._time_left is None else self._time_left(temperature)

    def metrics(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Multipliers, expected and mode costs, for the log."""
        mode_costs, expected = self.bounds.counted.of(distribution.mode()), self._expected(distribution)
        found: dict[str, float] = {}
        for name in self.budget.bounds:
            found[f"budget/{name}/multiplier"] = self.multipliers[name]
            if self.pull != "expected":
                found[f"budget/{name}/sample_multiplier"] = self.sample_multipliers[name]
            if name in expected:
                found[f"budget/{name}/expected"] = expected[name]
            found[f"budget/{name}/mode"] = mode_costs[name]
        return found

    def select(self, distribution: ArchitectureDistribution) -> BudgetReport:
        """The child: the most probable one within the budget, so the mode if it is.

        Where the budget is a target, the child is sought between (1 - tolerance) and 1 times the budget first, and
        anywhere below it if there is none. Where the budget is to be filled, the child then gets larger candidates.

        Raises:
            SnasError: no child was found in time (:meth:`prepare` has ruled out that there is none).
        """
        tolerance = self.budget.tolerance if self.budget.target else None
        return self.report(
            distribution, self._filled(distribution, self.bounds.most_probable(distribution, tolerance).sample)
        )

    def ranked(self, distribution: ArchitectureDistribution, count: int) -> list[dict[str, Any]]:
        """The ``count`` most probable children within the budget, and the one of :meth:`select` first.

        Where the budget is a target, those close to it come before the others.

        Raises:
            SnasError: no child was found in time.
        """
        tolerance = self.budget.tolerance if self.budget.target else None
        found: list[dict[str, Any]] = []
        for each in self.bounds.ranked(distribution, count, tolerance):
            sample = self._filled(distribution, each.sample)
            if sample not in found:  # two may become one
                found.append(sample)
        return found

    def _filled(self, distribution: ArchitectureDistribution, sample: dict[str, Any]) -> dict[str, Any]:
        if not self.budget.fill:
            return sample
        return filled(distribution, self.bounds.counted, self.bounds.bounds, sample, self.budget.tolerance)

    def report(self, distribution: ArchitectureDistribution, sample: Mapping[str, Any]) -> BudgetReport:
        """How the child of an NNI sample meets the budget."""
        model, bounds, mode = self.bounds.counted, self.bounds.bounds, distribution.mode()
        costs, mode_costs = model.of(sample), model.of(mode)
        return BudgetReport(
            sample=dict(sample),
            within=all(costs[name] <= bound for name, bound in bounds.items()),
            costs={name: costs[name] for name in bounds},
            mode_costs={name: mode_costs[name] for name in bounds},
            expected_costs=self._expected(distribution),
            bounds=bounds,
            log_probability_given_up=max(
                0.0, distribution.log_probability(mode) - distribution.log_probability(sample)
            ),
            notes=tuple(self.bounds.notes),
        )

    def _expected(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Expected costs; a peak is a maximum and has none."""
        model = self.bounds.counted
        with torch.no_grad():
            return {
                name: float(model.expected(name, distribution)) for name in self.budget.bounds if name in model.names
            }

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "multipliers": dict(self.multipliers),
            "sample_multipliers": dict(self.sample_multipliers),
            "binding": dict(self.binding),
            "start_violation": dict(self._start),
            "initial_temperature": self._initial_temperature,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.multipliers.update(state["multipliers"])
        self.sample_multipliers.update(state.get("sample_multipliers", {}))
        self.binding.update(state["binding"])
        if "start_violation" in state:
            self._start.update(state["start_violation"])
        else:  # checkpoints from when this was the cost itself
            bounds = {name: b for name, b in self.budget.bounds.items() if not isinstance(b, Share)}  # none had shares
            self._start.update({name: cost / bounds[name] - 1 for name, cost in state["start"].items()})
        self._initial_temperature = state["initial_temperature"]
