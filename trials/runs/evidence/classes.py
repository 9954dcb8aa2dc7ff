"""Right and wrong by class: what one number for all examples does not show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from torch import Tensor

from trials.tasks.evaluation import Predictor, Proportion

__all__ = ["class_results", "split_document"]

MOST_CONFUSED = 2000
"""Pairs of classes that are written, the most frequent first; all of them for up to 45 classes."""


def class_results(predict: Predictor, batches: Iterable[tuple[Tensor, Tensor]], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix: how many examples of each class (row) were taken for each class (column).

    Args:
        predict: maps inputs to logits ``(B, classes)``, on the CPU.
        batches: pairs of inputs and labels, ``(B, *input_shape)`` and ``(B,)``; at least one.
        classes: how many there are.

    Returns:
        shape ``(classes, classes)``.
    """
    labels: list[int] = []
    predicted: list[int] = []
    for inputs, right in batches:
        labels += right.tolist()
        predicted += predict(inputs).argmax(dim=1).tolist()
    matrix: NDArray[np.int64] = confusion_matrix(labels, predicted, labels=range(classes))
    return matrix


def split_document(matrix: NDArray[np.int64]) -> dict[str, Any]:
    """Return plain values for a JSON file: shares with Wilson's 95 % intervals, and what was taken for what.

    Args:
        matrix: of :func:`class_results`.

    Returns:
        ``right``, ``count`` and ``interval`` of the whole; ``classes``, the same of each class with
        ``predicted`` (how many examples were taken for it), in label order, with ``interval`` None where a class has
        no example; ``confused``, ``[label, taken for, count]`` of the wrong answers, the most frequent first;
        ``complete``, whether these are all.
    """
    right, counts, predicted = matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    rows, columns = np.nonzero(matrix)
    pairs = [
        (int(row), int(column), int(matrix[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if row != column
    ]
    pairs.sort(key=lambda pair: (-pair[2], *pair[:2]))
    return {
        **_share(sum(right), sum(counts)),
        "classes": [
            {**_share(of_class, count), "predicted": given}
            for of_class, count, given in zip(right, counts, predicted, strict=True)
        ],
        "confused": [list(pair) for pair in pairs[:MOST_CONFUSED]],
        "complete": len(pairs) <= MOST_CONFUSED,
    }


def _share(right: int, count: int) -> dict[str, Any]:
    interval = list(Proportion(right, count).interval()) if count else None
    return {"right": right, "count": count, "interval": interval}
