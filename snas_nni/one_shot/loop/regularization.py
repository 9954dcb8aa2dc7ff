"""The regularizers of a search, asked one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.regularizer import Regularizer, RegularizerTerm, as_regularizer, name_of

__all__ = ["Regularization"]


class Regularization:
    """The regularizers of a search, in order.

    Args:
        regularizers: the terms; plain functions are some too.
        count_costs: gets a training batch, returns the space's costs for the terms that ask for them.
    """

    def __init__(
        self,
        regularizers: Sequence[Regularizer | Callable[..., RegularizerTerm | Tensor]],
        count_costs: Callable[[Any], CostModel] | None = None,
    ) -> None:
        self.regularizers = [as_regularizer(term) for term in regularizers]
        self._names = [name_of(term, position) for position, term in enumerate(self.regularizers)]
        self._count_costs = count_costs

    @property
    def waiting(self) -> list[Regularizer]:
        """The terms that want to know the costs and were not told them."""
        # One that learns the costs without naming any must not wait for them for ever.
        asking = [term for term in self.regularizers if term.costs or type(term).prepare is not Regularizer.prepare]
        return asking if self._count_costs is not None else []

    def prepare(self, batch: Any) -> None:
        """Tell the terms the costs, counted on ``batch``; only the first call does anything."""
        if self._count_costs is not None and (waiting := self.waiting):
            model = self._count_costs(batch)
            for term in waiting:
                term.prepare(model)
        self._count_costs = None

    def terms(
        self, distribution: ArchitectureDistribution, sample: Sample, step: int
    ) -> list[tuple[str, RegularizerTerm]]:
        """Return a name and the term of a step for each regularizer."""
        terms = [regularizer(distribution, sample, step) for regularizer in self.regularizers]
        whole = [term if isinstance(term, RegularizerTerm) else RegularizerTerm(term) for term in terms]
        return list(zip(self._names, whole, strict=True))

    def read(self, total: Tensor) -> float:
        """Return the number of a loss, and tell the terms those that they want: all in one transfer to the host.

        Args:
            total: the loss with all terms, a scalar.
        """
        unread = [(regularizer, list(regularizer.unread())) for regularizer in self.regularizers]
        scalars = [total, *(each for _, wanted in unread for each in wanted)]
        if len(scalars) == 1:
            return float(total.detach())
        value, *numbers = torch.cat([each.detach().reshape(1) for each in scalars]).tolist()
        for regularizer, wanted in unread:
            regularizer.learn(numbers[: len(wanted)])
            numbers = numbers[len(wanted) :]
        return float(value)

    def metrics(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Return the numbers that the terms want to be logged."""
        found: dict[str, float] = {}
        for regularizer in self.regularizers:
            found.update(regularizer.metrics(distribution))
        return found

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps, by position."""
        return [regularizer.state_dict() for regularizer in self.regularizers]

    def load_state_dict(self, states: Sequence[dict[str, Any] | None]) -> None:
        """Go on from a checkpoint; one of a former version may have None for a term without a state."""
        for regularizer, state in zip(self.regularizers, states, strict=True):
            if state is not None:
                regularizer.load_state_dict(state)
