"""A search for every budget at once: each step draws a bound, and then a sample that costs about so much on average.

One distribution p(Z) serves all bounds. For a bound b it is tilted by the cost: the logits of each candidate lose
m times what it costs, with the least m >= 0 for which the expected cost E[C(Z)] is at most b, so m is the price of the
Lagrangian of "the most probable child within b". A bound that does not bind leaves the distribution as it is. The
weights are thus trained on cheap and on dear children alike, whatever p(Z) favors, and the gradient of a step reaches
the logits through the tilted probabilities: cheap candidates are compared where cheap children are drawn.

Everything is drawn from the distribution's generator, which a checkpoint keeps, and nothing else is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError, SnasError
from snas_nni.regularizer import Regularizer
from snas_nni.resources.cost_info import COSTS
from snas_nni.resources.solver.selection import cost_range

__all__ = ["Sweep"]

_HALVINGS = 16
_STEEPEST = 200.0
"""Nats between a candidate of no cost and one that costs the whole range; more changes nothing in float32."""


class Sweep(Regularizer):
    """Draws a bound on one cost for each step of a search; its term is 0.

    Args:
        cost: key in :data:`~snas_nni.resources.COSTS` of a cost that adds up.
        low: the least bound; None for what the cheapest child costs.
        high: the largest bound; None for what the dearest child costs.

    Raises:
        SettingError: there is no such cost, it is a maximum, or the range is empty.
    """

    name = "sweep"

    def __init__(self, cost: str, low: float | None = None, high: float | None = None) -> None:
        known = [name for name, info in COSTS.items() if not info.maximum]
        if cost not in known:
            raise SettingError(f"sweep: there is no cost {cost!r} that adds up; there are {', '.join(known)}.")
        for bound in (low, high):
            if bound is not None and not 0 < bound < math.inf:
                raise SettingError(f"sweep: a bound on {cost} must be positive and finite, got {bound}.")
        if low is not None and high is not None and low >= high:
            raise SettingError(f"sweep: the range of {cost} from {low:g} to {high:g} is empty.")
        self.cost, self.low, self.high = cost, low, high
        self.costs = (cost,)
        self._model: CostModel | None = None
        self._range = (0.0, 0.0)
        self._scores: dict[str, Tensor] = {}

    def prepare(self, cost_model: CostModel) -> None:
        """Learn the range, and what each candidate costs.

        Raises:
            SettingError: the range does not meet that of the space.
        """
        if self._model is cost_model:
            return
        cheapest, dearest = cost_range(cost_model, self.cost)
        low, high = max(cheapest, self.low or cheapest), min(dearest, self.high or dearest)
        if low > high:
            raise SettingError(
                f"sweep: no bound lies between {self.low} and {self.high}: children of the space have {self.cost} from "
                f"{cheapest:,.6g} to {dearest:,.6g}."
            )
        self._model, self._range = cost_model, (low, high)
        unit = max(dearest - cheapest, 1e-12)
        self._scores = {}
        for label, choice in cost_model.choices.items():
            costs = [each[self.cost] for each in cost_model.candidate_costs(label)]
            if choice.logits_shape == (len(costs),) and max(costs) > min(costs):
                scores = [(cost - min(costs)) / unit for cost in costs]
                self._scores[label] = torch.tensor(scores, dtype=torch.float32)

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> Tensor:
        """Nothing: what is drawn is bounded, not what is lost."""
        return next(iter(distribution.parameters())).new_zeros(())

    def draw(self, distribution: ArchitectureDistribution, draw: Callable[[], Sample]) -> Sample:
        """Draw a bound, uniform in the range, and with ``draw`` a sample of the distribution tilted to it."""
        low, high = self._range
        bound = low + (high - low) * float(torch.rand((), generator=distribution.generator, dtype=torch.float32))
        with distribution.tilted(self.tilt(distribution, bound)):
            return draw()

    def tilt(self, distribution: ArchitectureDistribution, bound: float) -> dict[str, Tensor]:
        """What each candidate's logit loses so that the expected cost is at most ``bound``; by label, shape ``(K,)``.

        Empty where it is at most that anyway.

        Raises:
            SnasError: the costs are not known yet.
        """
        if self._model is None:
            raise SnasError("the sweep does not know the costs yet: call prepare(cost_model) first.")
        with torch.no_grad():
            weights = {label: distribution.expected_weights(label) for label in distribution.choices}
            rows = {label: distribution.rows_of(label)[0] for label in self._scores}
            scores = {label: score.to(rows[label]) for label, score in self._scores.items()}

            def expected(price: float) -> float:
                tilted = {label: torch.softmax(row - price * scores[label], -1) for label, row in rows.items()}
                return self._cost({**weights, **tilted})

            if expected(0.0) <= bound:
                return {}
            dear, cheap = 0.0, 1.0
            while expected(cheap) > bound and cheap < _STEEPEST * max(1, len(rows)):
                dear, cheap = cheap, 2 * cheap
            for _ in range(_HALVINGS):
                middle = (dear + cheap) / 2
                dear, cheap = (middle, cheap) if expected(middle) > bound else (dear, middle)
            return {label: cheap * score for label, score in scores.items()}

    def _cost(self, weights: Mapping[str, Tensor]) -> float:
        if self._model is None:
            return 0.0
        return float(self._model.cost(self.cost, weights))
