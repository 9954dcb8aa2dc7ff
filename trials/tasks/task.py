"""What every task has: targets of a form, a loss, and a metric that decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from exports.metric import ACCURACY, DecidingMetric
from snas_nni.errors import SettingError
from trials.tasks.evaluation import Batches, Evaluation, Predictor

__all__ = ["IGNORED", "Task", "as_tensor", "kind_of"]

IGNORED = -100
"""The class number of what counts neither in the loss nor in the metric; it is PyTorch's own."""


@dataclass(frozen=True)
class Task(ABC):
    """A task for data with so many classes, labels or numbers to predict.

    Attributes:
        outputs: how many classes there are, or labels of a multi-label task, or numbers of a regression; at least 1.
    """

    name: ClassVar[str] = ""
    is_classification: ClassVar[bool] = False
    """Whether each input has one class, so that splits keep the share of each."""
    counted: ClassVar[tuple[str, str]] = ("class", "classes")
    """What ``outputs`` counts, in words: one, and several."""

    outputs: int

    @property
    def metric(self) -> DecidingMetric:
        """The metric that decides."""
        return ACCURACY

    @property
    def count_in_words(self) -> str:
        """Say how many outputs there are, and of what."""
        return f"{self.outputs} {self.counted[self.outputs != 1]}"

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    # ---- data ----------------------------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def read(tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return the names of the outputs, and the targets of each split, from what a user's function gave.

        Args:
            tables: arrays or tensors, one for each split, first dimension of examples.
            where: the source, for messages.

        Raises:
            SettingError: they are no targets of this task.
        """

    def check(self, targets: Tensor, split: str) -> None:  # noqa: B027 - reading may have said all
        """Refuse targets that do not fit.

        Raises:
            SettingError: names the split.
        """

    # ---- training ------------------------------------------------------------------------------------------------

    @abstractmethod
    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return the shape that a network's output must have for a batch of targets."""

    @abstractmethod
    def loss(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            outputs: of the network, of the shape that :meth:`shape` says.
            targets: of the batch.
            weights: of the outputs, shape ``(outputs,)``; None for equal ones.
            label_smoothing: in [0, 1); 0 for none.
        """

    def class_weights(self, targets: Tensor) -> Tensor:
        """Return weights, shape ``(outputs,)``, under which all classes count alike however often they occur.

        Raises:
            SettingError: the task has no classes to weigh.
        """
        raise SettingError(f"training.class_weights: {self.name} has no classes that could be weighed; leave it out")

    # ---- judging -------------------------------------------------------------------------------------------------

    @abstractmethod
    def new_metric(self) -> Metric:
        """Return a torchmetrics object of the deciding metric, for outputs and targets of this task."""

    def batch_value(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int] | None:
        """Return the metric of one batch and over how many it is a mean.

        None where the metric of many batches is not the mean of theirs: it is then accumulated.
        """
        return None

    def decisions(self, outputs: Tensor) -> Tensor | None:
        """Return what the outputs decide on, such as class numbers; None where they are numbers themselves."""
        return None

    def as_given(self, outputs: Tensor) -> Tensor:
        """Return a network's output in the form of the targets, where another form is as good."""
        return outputs

    def evaluate(self, predict: Predictor, batches: Batches) -> Evaluation:
        """Evaluate a network on all batches, at least one."""
        metric, losses, count = self.new_metric(), 0.0, 0
        for inputs, targets in batches:
            outputs = self.as_given(predict(inputs).float())
            metric.update(outputs, targets)
            losses += float(self.loss(outputs, targets)) * len(targets)
            count += len(targets)
        return Evaluation(float(metric.compute()), losses / count, self.metric, count)


def as_tensor(values: Any, where: str) -> Tensor:
    """Return targets as a tensor; numbers of 64 bits become those of 32 that networks have.

    Raises:
        SettingError: they are no numbers.
    """
    if isinstance(values, Tensor):
        return values.detach().float() if values.dtype == torch.float64 else values.detach()
    try:
        array = np.ascontiguousarray(values)
    except ValueError as error:  # rows of different lengths
        raise SettingError(f"{where}: targets of different shapes ({error}); pad them") from error
    if array.dtype.kind not in "biuf":
        raise SettingError(f"{where}: an array of {array.dtype}, not of numbers")
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def kind_of(targets: Tensor) -> str:
    """Say what targets are, for messages."""
    return f"shape {tuple(targets.shape)} ({str(targets.dtype).removeprefix('torch.')})"
