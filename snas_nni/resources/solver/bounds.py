"""What upper bounds ask of the children of one space: which lie within, what they exclude, who is most probable."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources.share import Bound, Share
from snas_nni.resources.solver.peaks import peak_excess, peak_sizes
from snas_nni.resources.solver.ranking import most_probable_children
from snas_nni.resources.solver.reachable import unreachable
from snas_nni.resources.solver.selection import Selection, cost_range, dearest_found, feasible, most_probable

__all__ = ["PEAK", "ChildBounds", "peak_range"]

PEAK = "activation_peak"
_EXCESS = "activation_peak_excess"
_BELOW = -math.inf


def peak_range(model: CostModel) -> tuple[float, float]:
    """The smallest peak of activations that a child has, and the largest that an operation can have; in elements.

    Raises:
        SettingError: the space's peaks were not counted, or one operation's size has too many outcomes.
    """
    sizes = peak_sizes(model)

    def reached(size: float) -> bool:
        excess = peak_excess(model, size)
        return feasible(model.with_costs({_EXCESS: {None: excess}}), {_EXCESS: (_BELOW, 0.0)})

    # The least bound that a child meets is one of the sizes.
    return sizes[bisect.bisect_left(sizes, True, key=reached)], sizes[-1]


class ChildBounds:
    """Upper bounds on the costs of one space's children.

    Args:
        model: gives the costs.
        bounds: upper bounds by name of the cost, numbers or shares of the dearest child's cost; ``activation_peak`` may
            be among them.

    Attributes:
        bounds: as given, shares as the numbers that they are here.
        counted: the costs as given; ``model`` has what the solver is asked beside them.
        binding: those that not every child meets.
        notes: a sentence for each bound that every child meets.

    Raises:
        SettingError: no child meets the bounds; with the cost of the cheapest one.
    """

    def __init__(self, model: CostModel, bounds: Mapping[str, Bound]) -> None:
        self.bounds = {
            name: bound.of(_dearest(model, name)) if isinstance(bound, Share) else bound
            for name, bound in bounds.items()
        }
        self.binding: dict[str, float] = {}
        self.notes: list[str] = []
        self.model = self.counted = model
        for name, bound in self.bounds.items():
            cheapest, dearest = self._range(name, bound)
            if bound < cheapest:
                raise SettingError(
                    f"budget of {name} is {bound:,.6g}, below the cheapest child of the space ({cheapest:,.6g}; "
                    f"the dearest has {dearest:,.6g}). Raise the budget, or make the space smaller."
                )
            if bound < dearest:
                self.binding[name] = bound
            else:
                self.notes.append(
                    f"{name}: every child of the space is within {bound:,.6g} (the dearest has {dearest:,.6g}), so "
                    "this bound changes nothing."
                )
        if PEAK in self.binding:
            excess = peak_excess(model, self.binding[PEAK])
            self.model = model.with_costs({_EXCESS: {None: excess}})
        self.limits = {self._cost(name): (_BELOW, self._limit(name)) for name in self.binding}
        """Lowest and highest allowed value of each cost that is bounded, as the solver is asked."""
        if not feasible(self.model, self.limits):
            raise SettingError("no child of the space meets all bounds of the budget together. Raise one of them.")

    @cached_property
    def excluded(self) -> dict[str, tuple[int, ...]]:
        """Candidates that no child within the bounds has, as indices by label."""
        return unreachable(self.model, self.limits) if self.limits else {}

    def meets(self, sample: Mapping[str, Any]) -> bool:
        """Whether the child of an NNI sample lies within the bounds."""
        costs = self.model.of(sample)
        return all(costs[name] <= bound for name, bound in self.bounds.items())

    def violations(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By how much the cost at given weights of the candidates exceeds each binding bound, as a share of it.

        Differentiable. For ``activation_peak`` the sum over the operations above the bound, so never below 0.

        Args:
            weights: by label, shape ``(K,)``: probabilities for the expected cost, a sample for its own.
        """
        found = {}
        for name, bound in self.binding.items():
            cost = self.model.cost(self._cost(name), weights)
            found[name] = (cost - self._limit(name)) / bound
        return found

    def most_probable(self, distribution: ArchitectureDistribution, tolerance: float | None = None) -> Selection:
        """The most probable child within the bounds; the mode, if it is.

        Args:
            distribution: gives the probabilities.
            tolerance: look between (1 - tolerance) and 1 times each bound first (not of ``activation_peak``), also
                where the mode lies below; None: anywhere below.

        Raises:
            SnasError: there is none among what the distribution does not exclude, or none was found in time.
        """
        if tolerance is not None:
            chosen = most_probable(distribution, self.model, self._close(tolerance))
            if chosen is not None:
                return chosen
        mode = distribution.mode()
        if self.meets(mode):
            return Selection(mode, 0.0)
        chosen = most_probable(distribution, self.model, self.limits)
        if chosen is None:
            left = " among the candidates that the search has left" if distribution.excluded else ""
            raise SnasError(f"no child of the space meets the budget {self.bounds}{left}.")
        return chosen

    def ranked(
        self, distribution: ArchitectureDistribution, count: int, tolerance: float | None = None
    ) -> list[Selection]:
        """The ``count`` most probable children within the bounds, the most probable first; fewer if there are fewer.

        Args:
            distribution: gives the probabilities.
            count: how many.
            tolerance: put those between (1 - tolerance) and 1 times each bound before all others.

        Raises:
            SnasError: none was found in time.
        """
        if tolerance is None:
            return most_probable_children(distribution, count, self.model, self.limits)
        close = most_probable_children(distribution, count, self.model, self._close(tolerance))
        known = [each.sample for each in close]
        below = self.ranked(distribution, count) if len(close) < count else []
        return [*close, *(each for each in below if each.sample not in known)][:count]

    def _close(self, tolerance: float) -> dict[str, tuple[float, float]]:
        """Limits of the children that use their bounds; a peak is only bounded from above."""
        return {
            name: (_BELOW if name == _EXCESS else (1 - tolerance) * limit, limit)
            for name, (_, limit) in self.limits.items()
        }

    def _range(self, name: str, bound: float) -> tuple[float, float]:
        """Cost of the cheapest and of the dearest child."""
        if name != PEAK:
            self.model.check(name)
            return cost_range(self.model, name)
        if not peak_excess(self.model, bound).terms:
            return 0.0, peak_sizes(self.model)[-1]
        return peak_range(self.model)

    def _cost(self, name: str) -> str:
        return _EXCESS if name == PEAK else name

    def _limit(self, name: str) -> float:
        return 0.0 if name == PEAK else self.bounds[name]


def _dearest(model: CostModel, name: str) -> float:
    """Cost of the dearest child."""
    if name == PEAK:
        return peak_sizes(model)[-1]
    model.check(name)
    return dearest_found(model, name)
