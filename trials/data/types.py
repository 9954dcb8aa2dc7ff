"""Labelled tensors in three splits: what every data source gives and every trial reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.augmentation import Augmentation, Normalization, augmentation_in_words
from trials.tasks import Classification, Task

__all__ = ["ClassificationData", "LabelledTensors", "TaskData"]


@dataclass(frozen=True)
class LabelledTensors:
    """One split.

    Attributes:
        inputs: shape ``(N, *input_shape)``; images are ``(N, C, H, W)``, uint8 or float.
        labels: the targets, one for each input: class numbers of shape ``(N,)``, int64, each in ``[0, classes)``, or
            what else the task asks for; see :mod:`trials.tasks`.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise SettingError(f"data: {len(self.inputs)} inputs but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> LabelledTensors:
        """Return the rows at ``indices`` (shape ``(M,)``, int64), copied."""
        return LabelledTensors(self.inputs[indices], self.labels[indices])

    def inputs_for_statistics(self) -> Tensor:
        """Return the inputs from which the normalization is measured, shape ``(M, *input_shape)``: here all."""
        return self.inputs


@dataclass(frozen=True)
class TaskData:
    """Three disjoint splits, what a network is trained for on them, and how their batches are prepared.

    Attributes:
        train: what the search trains on.
        validation: held out from the training data; judges architectures and settings.
        test: looked at once, after the search.
        class_names: one name for each class in the order of their numbers, or for each other output of the network.
        normalisation: applied to every batch of every split; None leaves inputs as they are.
        augmentation: applied to training batches only; None for none.
        task: what the labels are and what decides; None for the classification of inputs.
    """

    train: LabelledTensors
    validation: LabelledTensors
    test: LabelledTensors
    class_names: tuple[str, ...]
    normalisation: Normalization | None = None
    augmentation: Augmentation | None = None
    task: Task = None  # type: ignore[assignment]  # made of the names below

    def __post_init__(self) -> None:
        if self.task is None:
            object.__setattr__(self, "task", Classification(len(self.class_names)))
        for name in ("train", "validation", "test"):
            split: LabelledTensors = getattr(self, name)
            if len(split) == 0:
                raise SettingError(f"data: the {name} split is empty")
            self.task.check(split.labels, name)

    @property
    def classes(self) -> int:
        """How many classes there are, or other outputs that a network needs."""
        return len(self.class_names)

    @property
    def in_words(self) -> str:
        """How many examples there are, of what shape, in how many classes, and what is done to those of training."""
        return (
            f"{len(self.train)} training, {len(self.validation)} validation and {len(self.test)} test examples of "
            f"shape {self.input_shape}, {self.task.count_in_words}; {augmentation_in_words(self.augmentation)}"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without the batch: ``(C, H, W)`` for images."""
        return tuple(self.train.inputs.shape[1:])


@dataclass(frozen=True)
class ClassificationData(TaskData):
    """Data whose labels are class numbers, one for each input."""
