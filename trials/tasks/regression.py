"""One or several numbers for each input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanAbsoluteError, Metric
from torchmetrics.functional import mean_absolute_error

from exports.metric import TASK_METRICS, DecidingMetric
from snas_nni.errors import SettingError
from trials.tasks.task import Task, as_tensor, kind_of

__all__ = ["Regression"]


class Regression(Task):
    """Outputs and targets ``(B, numbers)``, mean squared error, mean absolute error. Lower is better."""

    name: ClassVar[str] = "regression"
    counted: ClassVar[tuple[str, str]] = ("number to predict", "numbers to predict")

    @property
    def metric(self) -> DecidingMetric:
        """Mean absolute error, in the unit of the targets."""
        return TASK_METRICS[self.name]

    @staticmethod
    def read(tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return names ``0, 1, ...`` and the numbers, shape ``(N, numbers)``; ``(N,)`` is one for each input."""
        given = [as_tensor(each, f"{where}: targets").float() for each in tables]
        given = [each.unsqueeze(1) if each.dim() == 1 else each for each in given]
        for each in given:
            if each.dim() != 2 or not each.numel() or each.shape[1] != given[0].shape[1]:
                raise SettingError(f"{where}: targets must be one row of numbers for each input; got {kind_of(each)}")
            if not torch.isfinite(each).all():
                raise SettingError(f"{where}: a target is not a finite number")
        return tuple(map(str, range(given[0].shape[1]))), given

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return ``(B, numbers)``."""
        return tuple(targets.shape)

    def loss(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(outputs, targets)

    def new_metric(self) -> Metric:
        """Return the mean absolute error over all numbers."""
        return MeanAbsoluteError(sync_on_compute=False)

    def batch_value(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Return the mean absolute error over the batch's inputs."""
        return mean_absolute_error(outputs.contiguous(), targets), len(targets)

    def as_given(self, outputs: Tensor) -> Tensor:
        """Return ``(B, 1)`` for the outputs ``(B,)`` of a network that gives one number."""
        return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
