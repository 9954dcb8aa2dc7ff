"""The front of a sweep over budgets, read from the ``front.json`` that ``snas-nni derive --sweep`` left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.metric import DecidingMetric, recorded_metric
from exports.report.evidence.reading import Reached
from exports.report.numbers import as_mapping, as_number
from exports.report.run import Run, read_json, read_run

__all__ = ["FRONT_FILE", "Point", "Sweep", "read_sweep"]

FRONT_FILE = "front.json"
MOST_POINTS = 500


@dataclass(frozen=True)
class Point:
    """The child of one budget: what it reaches and costs, and its run if the folder is there."""

    number: int
    budget: float
    reached: Reached
    cost: float
    parameters: float | None
    folder: str
    run: Run | None


@dataclass(frozen=True)
class Sweep:
    """All of the file.

    Attributes:
        folder: of the sweep.
        cost: key of the cost.
        title: its words.
        unit: its unit; may be empty.
        search: path of the search's folder.
        tune_epochs: epochs that each child was trained on by itself.
        points: by budget, ascending.
        chosen: the child that the search itself ended with; None if the file does not say.
        random: children of chance.
        metric: that decides, and its direction.
        problems: what is missing or cannot be read, one sentence each.
    """

    folder: Path
    cost: str
    title: str
    unit: str
    search: str
    tune_epochs: int
    points: tuple[Point, ...]
    chosen: Reached | None
    random: tuple[Reached, ...]
    metric: DecidingMetric
    problems: tuple[str, ...] = ()


def read_sweep(folder: Path) -> Sweep:
    """Read a sweep's folder.

    Raises:
        OSError: its front.json cannot be read.
        ValueError: it is not JSON, or not an object.
    """
    document = read_json(folder / FRONT_FILE)
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    metric, entries = recorded_metric(document, {}), _list(document.get("points"))
    read = [_point(folder, number, as_mapping(entry), metric) for number, entry in enumerate(entries, 1)]
    points = sorted((point for point in read if point is not None), key=lambda point: (point.budget, point.number))
    random = [Reached.of(entry, "cost", metric) for entry in _list(document.get("random"))]
    problems = [f"point {point.number}: its folder {point.folder} is not there" for point in points if not point.run]
    if len(points) < len(read):
        problems.append(f"{len(read) - len(points)} points have no budget, cost or {metric.title} that can be used")
    tuned = as_number(document.get("tune_epochs"))
    return Sweep(
        folder=folder,
        cost=str(document.get("cost", "")),
        title=str(document.get("title") or document.get("cost") or "cost"),
        unit=str(document.get("unit") or ""),
        search=str(document.get("search", "")),
        tune_epochs=int(tuned) if tuned is not None else 0,
        points=tuple(points),
        chosen=_with_cost(Reached.of(document.get("chosen"), "cost", metric)),
        random=tuple(each for each in random if _with_cost(each) is not None and each is not None),
        metric=metric,
        problems=tuple(problems),
    )


def _point(folder: Path, number: int, entry: Mapping[str, Any], metric: DecidingMetric) -> Point | None:
    budget, reached = as_number(entry.get("budget")), _with_cost(Reached.of(entry, "cost", metric))
    if budget is None or reached is None or reached.cost is None:
        return None
    name = str(entry.get("folder", ""))
    # A plain name: what the file says must not lead out of the sweep's folder.
    inside = name if name and name == Path(name).name and name not in (".", "..") and "\0" not in name else ""
    there = bool(inside) and (folder / inside).is_dir()
    run = read_run(folder / inside) if there else None
    return Point(number, budget, reached, reached.cost, as_number(entry.get("parameters")), name, run)


def _with_cost(reached: Reached | None) -> Reached | None:
    return reached if reached is not None and reached.cost is not None else None


def _list(value: object) -> list[Any]:
    return value[:MOST_POINTS] if isinstance(value, list) else []
