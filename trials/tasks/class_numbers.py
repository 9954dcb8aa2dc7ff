"""What tasks share whose targets are class numbers: of an input, of each pixel, of each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from snas_nni.errors import SettingError
from trials.tasks.task import IGNORED, Task, as_tensor, kind_of

__all__ = ["ClassNumbers"]

MOST_CLASSES = 2**20


class ClassNumbers(Task):
    """Cross-entropy between logits, one for each class, and class numbers."""

    dimensions: ClassVar[int] = 1
    """Of the targets of a split, the first one included."""
    form: ClassVar[str] = "one for each input"
    may_ignore: ClassVar[bool] = True
    """Whether a number below 0 means what does not count."""

    @classmethod
    def read(cls, tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return class names ``0, 1, ...`` and whole numbers; those below 0 become :data:`IGNORED` where they may."""
        given = [as_tensor(each, f"{where}: labels") for each in tables]
        for each in given:
            if each.dim() != cls.dimensions or each.is_floating_point() or each.dtype == torch.bool or not each.numel():
                raise SettingError(
                    f"{where}: labels must be whole numbers from 0, {cls.form}; got {kind_of(each)}. For other targets "
                    "name the task: training.task"
                )
        numbers = [each.long() for each in given]
        if cls.may_ignore:
            numbers = [each.masked_fill(each < 0, IGNORED) for each in numbers]
        highest = max(int(each.max()) for each in numbers)
        if highest < 0:
            raise SettingError(f"{where}: all labels are below 0, which means that none counts")
        if highest >= MOST_CLASSES:
            raise SettingError(
                f"{where}: labels go up to {highest:,}, which would be {highest + 1:,} classes. Number the classes "
                "from 0 on; where labels are amounts, set training.task to regression"
            )
        return tuple(map(str, range(highest + 1))), numbers

    def check(self, targets: Tensor, split: str) -> None:
        """Refuse class numbers that are none of the classes."""
        known = targets[targets != IGNORED] if self.may_ignore else targets
        if not known.numel():
            raise SettingError(f"data: the {split} split has no label that counts")
        low, high = int(known.min()), int(known.max())
        if low < 0 or high >= self.outputs:
            raise SettingError(
                f"data: the {split} split has labels {low}..{high}, but there are {self.outputs} classes"
            )

    def loss(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the mean cross-entropy in nats."""
        logits, numbers = self.rows(outputs, targets)
        return functional.cross_entropy(
            logits, numbers, weight=weights, ignore_index=IGNORED, label_smoothing=label_smoothing
        )

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets as cross-entropy takes them: classes in the second dimension."""
        return outputs, targets

    def class_weights(self, targets: Tensor) -> Tensor:
        """Return ``N / (classes * count)`` for each class, as scikit-learn does; 0 for one that never occurs."""
        counts = torch.bincount(targets[targets != IGNORED].flatten(), minlength=self.outputs).double()
        weights = counts.sum() / (self.outputs * counts)
        return torch.where(counts > 0, weights, torch.zeros_like(weights)).float()

    def decisions(self, outputs: Tensor) -> Tensor:
        """Return the class of the largest logit."""
        return outputs.argmax(dim=1)
