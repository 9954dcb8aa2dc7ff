"""The front of a sweep: what each budget's child costs and reaches, beside children that nobody searched.

``front.json`` in the sweep's folder, written last, is one object:

* ``cost``: key of the cost in :data:`~snas_nni.resources.COSTS`, such as ``"params"``; ``title`` and ``unit`` are its
  words (``unit`` may be empty).
* ``metric``: the one that decides: its ``name``, and whether ``higher_is_better``.
* ``search``: path of the search's folder. ``tune_epochs``: epochs that the space's dearest child would be trained on;
  cheaper ones for as many MACs (random children are never trained on).
* ``points``: by budget, ascending. Each has ``budget`` (the upper bound), ``cost`` (of the child, at most that),
  the metric under its name (on the validation split; ``accuracy`` in [0, 1], say), of an accuracy ``interval``
  (Wilson's 95 % interval, ``[low, high]``),
  ``folder`` (name of the child's folder inside the sweep's), ``parameters`` and ``tune_epochs`` of this child (0 where
  it was best as it was). Budgets with the same child have the same folder.
* ``chosen``: the child that the search itself ended with, with ``cost``, ``accuracy`` and ``interval``; null where the
  search left no summary.
* ``random``: uniform children with the weights of the search and BatchNorm statistics of their own. Each has ``cost``,
  the metric and ``interval``.

Keys may be added later; none changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exports.run_folder import SearchResult, read_result
from snas_nni.errors import SettingError
from snas_nni.files import write_atomically
from snas_nni.resources import COSTS
from trials.runs.derive import Restored
from trials.runs.evidence.evidence_file import reached
from trials.runs.evidence.random_children import uniform_samples

__all__ = ["FRONT_FILE", "front_of", "front_point", "random_points", "write_front"]

FRONT_FILE = "front.json"


def front_point(search: Restored, bound: float, cost: str, result: SearchResult, tune_epochs: int) -> dict[str, Any]:
    """Return one budget's entry of ``points``."""
    return {
        "budget": bound,
        "cost": result.metrics[cost],
        **_reached(search, result.metrics[search.data.task.metric.validation]),
        "folder": result.output.name,
        "parameters": result.parameters,
        "tune_epochs": tune_epochs,
    }


def random_points(search: Restored, cost: str, count: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Judge uniform children of the search, cheapest first: entries of ``random``.

    Args:
        search: that was restored.
        cost: key of the front's cost.
        count: how many children, at least 1.
        seed: of their choice.
    """
    judged = search.judge(uniform_samples(search.strategy.distribution, count, seed))
    model = search.cost_model()
    logged = search.data.task.metric.logged
    points = [{"cost": model.of(each.sample)[cost], **_reached(search, each.metrics[logged])} for each in judged]
    return sorted(points, key=lambda point: point["cost"])


def front_of(
    search: Restored, cost: str, points: Sequence[dict[str, Any]], random: Sequence[dict[str, Any]], tune_epochs: int
) -> dict[str, Any]:
    """Return the whole document."""
    info = COSTS[cost]
    return {
        "cost": cost,
        "title": info.title,
        "unit": info.unit,
        "metric": search.data.task.metric.as_document(),
        "search": str(search.folder),
        "tune_epochs": tune_epochs,
        "points": list(points),
        "chosen": _chosen(search, cost),
        "random": list(random),
    }


def write_front(folder: Path, front: dict[str, Any]) -> Path:
    """Write the document into the sweep's folder; return its path."""
    path = folder / FRONT_FILE
    write_atomically(path, (json.dumps(front, indent=2) + "\n").encode())
    return path


def _chosen(search: Restored, cost: str) -> dict[str, Any] | None:
    try:
        metrics = read_result(search.folder).metrics
        return {"cost": metrics[cost], **_reached(search, metrics[search.data.task.metric.validation])}
    except (SettingError, KeyError):
        return None


def _reached(search: Restored, value: float) -> dict[str, Any]:
    return reached(value, len(search.data.validation), search.data.task.metric)
