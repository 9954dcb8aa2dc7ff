"""``evidence.json`` of a run: what a reader needs to believe its child, beyond the numbers of its summary.

One object; keys may be added later, none changes its meaning:

* ``metric``: what ``accuracy`` below is, always the share of right answers today.
* ``class_names``: in label order.
* ``splits``: by name (``validation``, which judged children, and ``test``, which was looked at once), the document of
  :func:`trials.runs.evidence.classes.split_document`.
* ``random``: children of chance, of a search only. ``moment`` is ``settling`` (before the chosen child was trained
  alone) or ``end``; ``child`` and each of ``children`` have ``accuracy`` on the validation split and ``interval``, all
  with the same weights and BatchNorm statistics of their own; those of chance have ``params`` too, None where
  parameters cannot be counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exports.metric import ACCURACY, DecidingMetric
from snas_nni import SNAS
from snas_nni.files import write_atomically
from trials.data.loaders import held_out_batches
from trials.data.types import TaskData
from trials.runs.evidence.classes import class_results, split_document
from trials.runs.evidence.random_children import RandomChildren
from trials.training.evaluation import Proportion, torch_predictor

__all__ = ["EVIDENCE_FILE", "random_document", "reached", "write_evidence"]

EVIDENCE_FILE = "evidence.json"


def write_evidence(
    folder: Path,
    child: nn.Module,
    data: TaskData,
    device: torch.device | str = "cpu",
    random: dict[str, Any] | None = None,
) -> Path | None:
    """Judge a child by class on both held-out splits, and write the file; return its path.

    There is no file where inputs have no classes.

    Args:
        folder: of the run.
        child: left on ``device`` in evaluation mode.
        data: the splits.
        device: where to run.
        random: of :func:`random_document`; None for none.
    """
    if not data.task.is_classification:
        return None
    predict = torch_predictor(child, device)
    document: dict[str, Any] = {
        "metric": "accuracy",
        "class_names": list(data.class_names),
        "splits": {
            name: split_document(class_results(predict, batches, data.classes))
            for name, batches in held_out_batches(data).items()
        },
    }
    if random is not None:
        document["random"] = random
    path = folder / EVIDENCE_FILE
    write_atomically(path, (json.dumps(document, separators=(",", ":")) + "\n").encode())
    return path


def random_document(random: RandomChildren, strategy: SNAS, count: int) -> dict[str, Any] | None:
    """Return the entry ``random`` of the file; None if nothing was judged.

    Args:
        random: after it judged.
        strategy: after its search.
        count: examples of the validation split.
    """
    if not random.children:
        return None
    costs: Sequence[float | None] = random.costs(strategy)
    return {
        "moment": random.moment,
        "child": reached(random.child, count),
        "children": [
            {**reached(accuracy, count), "params": cost} for accuracy, cost in zip(random.children, costs, strict=True)
        ],
    }


def reached(value: float, count: int, metric: DecidingMetric = ACCURACY) -> dict[str, Any]:
    """Return a metric under its name; an accuracy with its Wilson interval, for ``count`` examples."""
    if metric != ACCURACY:
        return {metric.name: value}
    return {"accuracy": value, "interval": list(Proportion(round(value * count), count).interval())}
