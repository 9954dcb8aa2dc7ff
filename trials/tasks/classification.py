"""One class for each input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.classification import multiclass_accuracy

from trials.tasks.class_numbers import ClassNumbers
from trials.tasks.evaluation import Batches, Evaluation, Predictor, Proportion

__all__ = ["Classification"]


class Classification(ClassNumbers):
    """Logits ``(B, classes)``, class numbers ``(B,)``, cross-entropy, accuracy."""

    name: ClassVar[str] = "classification"
    is_classification: ClassVar[bool] = True
    may_ignore: ClassVar[bool] = False

    @classmethod
    def read(cls, tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return class names and numbers; labels may be words, whose order is the classes'."""
        if any(isinstance(each, np.ndarray) and each.dtype.kind in "OUS" for each in tables):
            words = [np.asarray(each).astype(str) for each in tables]
            names = sorted(set(np.concatenate(words).tolist()))
            numbers = {name: number for number, name in enumerate(names)}
            return tuple(names), [torch.tensor([numbers[name] for name in each.tolist()]) for each in words]
        return super().read(tables, where)

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Return ``(B, classes)``."""
        return len(targets), self.outputs

    def new_metric(self) -> Metric:
        """Return the share of inputs whose largest logit is that of their class."""
        return MulticlassAccuracy(self.outputs, average="micro", sync_on_compute=False)

    def batch_value(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Return the accuracy over the batch's inputs."""
        return multiclass_accuracy(outputs, targets, num_classes=self.outputs, average="micro"), len(targets)

    def evaluate(self, predict: Predictor, batches: Batches) -> Evaluation:
        """Count inputs, and those whose class is among the five largest logits where there are more than five."""
        right = among_five = count = classes = 0
        loss = 0.0
        for inputs, labels in batches:
            logits = predict(inputs).float()
            classes = logits.shape[1]
            right += int((logits.argmax(dim=1) == labels).sum())
            among_five += int((logits.topk(min(5, classes)).indices == labels[:, None]).sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            count += len(labels)
        shares = [("top1", Proportion(right, count))]
        if classes > 5:
            shares.append(("top5", Proportion(among_five, count)))
        return Evaluation(right / count, loss / count, self.metric, count, tuple(shares))
