"""What is added to the task loss: the interface of a term, and the sum of a search's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.resources.costs import CostModel

__all__ = ["Regularization", "Regularizer"]


class Regularizer(Protocol):
    """A term added to the task loss, such as a resource penalty.

    It may also have: ``name`` (for the log); ``costs``, which holds the names of the costs it asks for;
    ``prepare(cost_model)``, called before the first step; ``metrics(distribution)``, numbers to log per epoch;
    ``state_dict()`` and ``load_state_dict(state)``, kept in checkpoints; ``read``, the weights that the last call
    read, by label.

    Example:
        >>> class LowEntropy(Regularizer):
        ...     name = "entropy"
        ...     def __call__(self, distribution, sample, step):
        ...         rows = [distribution.rows_of(label).log_softmax(-1) for label in distribution.choices]
        ...         return 1e-3 * sum(-(row.exp() * row).sum() for row in rows)
        >>> from search_spaces import SnasCellSpace
        >>> from snas_nni import SNAS
        >>> strategy = SNAS(regularizers=[LowEntropy()], initial_logits_std=0)
        >>> supernet = strategy.mutate_model(SnasCellSpace(channels=2, cells=3))
        >>> distribution = strategy.distribution
        >>> term = LowEntropy()(distribution, distribution.draw(temperature=1.0), step=0)
        >>> round(float(term), 4)  # 28 choices among 8, all uniform: 0.028 ln 8
        0.0582
    """

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> Tensor:
        """Return a scalar tensor that is differentiable with respect to the logits.

        Args:
            distribution: logits, probabilities, entropies.
            sample: the Z that the forward pass of this step ran with.
            step: number of finished search steps.
        """
        ...


class Regularization:
    """The regularizers of a search, in order.

    Args:
        regularizers: the terms.
        count_costs: gets a training batch, returns the space's costs for the terms that want to know them.
    """

    def __init__(
        self, regularizers: Sequence[Regularizer], count_costs: Callable[[Any], CostModel] | None = None
    ) -> None:
        self.regularizers = list(regularizers)
        self._count_costs = count_costs

    def prepare(self, batch: Any) -> None:
        """Tell the terms the costs, counted on ``batch``; only the first call does anything."""
        wanting = [r for r in self.regularizers if hasattr(r, "prepare")]
        if wanting and self._count_costs is not None:
            model = self._count_costs(batch)
            for regularizer in wanting:
                regularizer.prepare(model)
        self._count_costs = None

    def terms(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> list[tuple[str, Tensor]]:
        """Return a name and a scalar for each term."""
        return [
            (getattr(term, "name", f"{type(term).__name__}_{index}"), term(distribution, sample, step))
            for index, term in enumerate(self.regularizers)
        ]

    def read(self) -> list[Mapping[str, Tensor]]:
        """Return the weights that each term's last call read, by label."""
        return [getattr(regularizer, "read", {}) for regularizer in self.regularizers]

    def metrics(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Return the numbers that the terms want to be logged."""
        found: dict[str, float] = {}
        for regularizer in self.regularizers:
            if hasattr(regularizer, "metrics"):
                found.update(regularizer.metrics(distribution))
        return found

    def state_dict(self) -> list[Any]:
        """What a checkpoint keeps, by position."""
        return [r.state_dict() if hasattr(r, "state_dict") else None for r in self.regularizers]

    def load_state_dict(self, states: Sequence[Any]) -> None:
        """Go on from a checkpoint."""
        for regularizer, state in zip(self.regularizers, states, strict=True):
            if state is not None and hasattr(regularizer, "load_state_dict"):
                regularizer.load_state_dict(state)
