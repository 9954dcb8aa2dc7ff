"""Any number of labels for each input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MultilabelF1Score

from exports.metric import TASK_METRICS, DecidingMetric
from snas_nni.errors import SettingError
from trials.tasks.task import Task, as_tensor, kind_of

__all__ = ["MultiLabel"]


class MultiLabel(Task):
    """Logits ``(B, labels)``, zeros and ones ``(B, labels)``, binary cross-entropy, F1 score.

    The F1 score is of all labels together (micro): a label is predicted where its logit is above 0.
    """

    name: ClassVar[str] = "multi_label"
    counted: ClassVar[tuple[str, str]] = ("label", "labels")

    @property
    def metric(self) -> DecidingMetric:
        """F1 score."""
        return TASK_METRICS[self.name]

    @staticmethod
    def read(tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return names ``0, 1, ...`` and zeros and ones, shape ``(N, labels)``."""
        given = [as_tensor(each, f"{where}: labels").float() for each in tables]
        for each in given:
            if each.dim() != 2 or not each.numel() or each.shape[1] != given[0].shape[1]:
                raise SettingError(
                    f"{where}: labels must be one row for each input, a 0 or 1 for each label; got {kind_of(each)}"
                )
            if not ((each == 0) | (each == 1)).all():
                raise SettingError(f"{where}: a label is neither 0 nor 1")
        return tuple(map(str, range(given[0].shape[1]))), given

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return ``(B, labels)``."""
        return tuple(targets.shape)

    def loss(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the mean binary cross-entropy in nats; weights are those of the ones."""
        if label_smoothing:
            targets = targets * (1 - label_smoothing) + label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)

    def class_weights(self, targets: Tensor) -> Tensor:
        """Return zeros over ones for each label, so that both count alike; 1 for a label that never occurs."""
        ones = targets.sum(dim=0)
        return torch.where(ones > 0, (len(targets) - ones) / ones.clamp_min(1), torch.ones_like(ones))

    def new_metric(self) -> Metric:
        """Return the F1 score of all labels together."""
        return _F1Score(self.outputs)

    def decisions(self, outputs: Tensor) -> Tensor:
        """Return where a label is predicted."""
        return outputs > 0


class _F1Score(MultilabelF1Score):
    """Takes logits and zeros and ones in floating point."""

    def __init__(self, labels: int) -> None:
        super().__init__(labels, average="micro", sync_on_compute=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        # torchmetrics takes values within [0, 1] for probabilities, also where they are logits.
        super().update((preds > 0).long(), target.long())
