"""One class for each pixel."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassJaccardIndex

from exports.metric import TASK_METRICS, DecidingMetric
from trials.tasks.class_numbers import ClassNumbers
from trials.tasks.task import IGNORED

__all__ = ["Segmentation"]


class Segmentation(ClassNumbers):
    """Logits ``(B, classes, H, W)``, class numbers ``(B, H, W)``, cross-entropy, mean intersection over union."""

    name: ClassVar[str] = "segmentation"
    dimensions: ClassVar[int] = 3
    form: ClassVar[str] = "one for each pixel, shape (N, H, W)"

    @property
    def metric(self) -> DecidingMetric:
        """Mean over the classes of intersection over union."""
        return TASK_METRICS[self.name]

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return ``(B, classes, H, W)``."""
        return len(targets), self.outputs, *targets.shape[1:]

    def new_metric(self) -> Metric:
        """Return the mean over the classes that occur of the intersection over the union of all pixels."""
        return MulticlassJaccardIndex(self.outputs, average="macro", ignore_index=IGNORED, sync_on_compute=False)
