"""What a network reaches on one split, with how sure one can be of that number where it is a count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest
from torch import Tensor

from exports.metric import ACCURACY, DecidingMetric

__all__ = ["Batches", "Evaluation", "Predictor", "Proportion"]

Predictor = Callable[[Any], Tensor]
"""Maps the inputs of a batch to the outputs of a network, on the CPU."""
Batches = Iterable[tuple[Any, Tensor]]
"""Pairs of inputs and targets, the first dimension of examples."""


@dataclass(frozen=True)
class Proportion:
    """How many of how many.

    Attributes:
        right: right answers, in ``[0, count]``.
        count: examples, at least 1.
    """

    right: int
    count: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.right / self.count

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % confidence interval, inside [0, 1]; it holds near 0 and 1 too."""
        interval = binomtest(self.right, self.count).proportion_ci(0.95, method="wilson")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.2%} (95 % interval {low:.2%} to {high:.2%}, {self.right} of {self.count})"


@dataclass(frozen=True)
class Evaluation:
    """A network on one split.

    Attributes:
        value: of the deciding metric.
        loss: mean loss; None where nobody logged one.
        metric: the deciding one.
        count: examples.
        shares: where inputs are counted: ``top1``, the largest output is that of the right class, and with more than
            five classes ``top5``, the right class is among the five largest.
    """

    value: float
    loss: float | None
    metric: DecidingMetric = ACCURACY
    count: int = 0
    shares: tuple[tuple[str, Proportion], ...] = ()

    @property
    def top1(self) -> Proportion:
        """The share of inputs whose largest output is that of the right class.

        Raises:
            KeyError: inputs have no classes.
        """
        return dict(self.shares)["top1"]

    @property
    def top5(self) -> Proportion | None:
        """The share of inputs whose class is among the five largest outputs; None for five classes or fewer."""
        return dict(self.shares).get("top5")

    def as_document(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        document: dict[str, Any] = {} if self.loss is None else {"loss": self.loss}
        if not self.shares:
            return {**document, self.metric.name: self.value, "count": self.count}
        for name, share in self.shares:
            document[name] = {**vars(share), "share": share.value, "interval95": list(share.interval())}
        return document

    def metrics(self, split: str) -> dict[str, float]:
        """Return ``SPLIT_NAME`` of the metric, and ``SPLIT_loss``."""
        loss = {} if self.loss is None else {f"{split}_loss": self.loss}
        return {f"{split}_{self.metric.name}": self.value, **loss}

    def __str__(self) -> str:
        return str(dict(self.shares).get("top1", self.metric.text(self.value)))
