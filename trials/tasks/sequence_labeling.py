"""One class for each token of a sequence."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.classification import multiclass_accuracy

from exports.metric import TASK_METRICS, DecidingMetric
from trials.tasks.class_numbers import ClassNumbers
from trials.tasks.task import IGNORED

__all__ = ["SequenceLabeling"]


class SequenceLabeling(ClassNumbers):
    """Logits ``(B, length, classes)``, class numbers ``(B, length)``, cross-entropy, accuracy over the tokens."""

    name: ClassVar[str] = "sequence_labeling"
    dimensions: ClassVar[int] = 2
    form: ClassVar[str] = "one for each token, shape (N, length); below 0 for padding"

    @property
    def metric(self) -> DecidingMetric:
        """Share of the tokens that count whose class is found."""
        return TASK_METRICS[self.name]

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return ``(B, length, classes)``."""
        return *targets.shape, self.outputs

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return one row for each token."""
        return outputs.flatten(0, 1), targets.flatten()

    def new_metric(self) -> Metric:
        """Return the share of tokens whose largest logit is that of their class."""
        return _TokenAccuracy(self.outputs)

    def batch_value(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Return the accuracy over the batch's tokens that count."""
        logits, numbers = self.rows(outputs, targets)
        value = multiclass_accuracy(logits, numbers, num_classes=self.outputs, average="micro", ignore_index=IGNORED)
        return value, int((numbers != IGNORED).sum())

    def decisions(self, outputs: Tensor) -> Tensor:
        """Return the class of the largest logit of each token."""
        return outputs.argmax(dim=-1)


class _TokenAccuracy(MulticlassAccuracy):
    """Takes classes in the last dimension."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes, average="micro", ignore_index=IGNORED, sync_on_compute=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.flatten(0, 1), target.flatten())
