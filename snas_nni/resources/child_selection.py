"""Which children of a distribution come into question: the most probable ones within the budget, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.resources.budget import BudgetReport
from snas_nni.resources.budget_controller import BudgetController
from snas_nni.resources.solver.ranking import most_probable_children
from snas_nni.resources.sweep import Sweep

__all__ = ["ChildSelection"]


class ChildSelection:
    """The children of a search that come into question.

    Args:
        distribution: of the search.
        controller: knows the budget; None for none.
        sweep: decides what steps draw, in a search for every budget; None for none.
    """

    def __init__(
        self,
        distribution: ArchitectureDistribution,
        controller: BudgetController | None = None,
        sweep: Sweep | None = None,
    ) -> None:
        self.distribution = distribution
        self.sweep = sweep
        self.controller = controller

    def current(self) -> dict[str, Any]:
        """The most probable child within the budget: the mode, if it is. Before costs are known, the mode.

        Raises:
            SnasError: none was found in time.
        """
        if self.controller is None or not self.controller.is_prepared:
            return self.distribution.mode()
        return self.controller.select(self.distribution).sample

    def draw(self, draw: Callable[[], Sample]) -> Sample:
        """Draw a sample for a step, as the budget or the sweep wants it drawn."""
        if self.sweep is not None:
            return self.sweep.draw(self.distribution, draw)
        if self.controller is None or not self.controller.is_prepared:
            return draw()
        return self.controller.draw(draw)

    def candidates(self, count: int) -> list[dict[str, Any]]:
        """The ``count`` most probable children within the budget, :meth:`current` first; fewer if there are fewer.

        Raises:
            SnasError: none was found in time.
        """
        if count == 1:  # which asks the solver once
            return [self.current()]
        if self.controller is None or not self.controller.is_prepared:
            ranked = [each.sample for each in most_probable_children(self.distribution, count)]
        else:
            ranked = self.controller.ranked(self.distribution, count)
        first = self.current()  # which comes first among equally probable ones too
        return [first, *(sample for sample in ranked if sample != first)][:count]

    def report(self, sample: Mapping[str, Any]) -> BudgetReport | None:
        """How a child meets the budget; None without one."""
        if self.controller is None or not self.controller.is_prepared:
            return None
        return self.controller.report(self.distribution, sample)
