"""A front on disk: a folder for each different child, which every verb takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exports.run_folder import SearchResult
from trials.progress import Progress
from trials.runs.derive import Restored, make_folder, write_child_of
from trials.runs.front.children import front_children
from trials.runs.front.document import front_of, front_point, random_points

__all__ = ["derive_front"]


def derive_front(
    search: Restored,
    cost: str,
    budgets: Sequence[float],
    output: Path,
    *,
    bounds: Mapping[str, float],
    measured: Mapping[str, float],
    candidates: int | None,
    tune_epochs: int,
    progress: Progress,
) -> dict[str, Any]:
    """Write the children of a front; return what ``front.json`` says of them.

    Args:
        search: that was restored.
        cost: key of the front's cost.
        budgets: upper bounds on it, ascending.
        output: folder that gets a folder for each different child, named by the first of its budgets.
        bounds: upper bounds on other costs.
        measured: upper bounds on what is only measured, by name.
        candidates: how many children are compared for each budget; the search's setting if None.
        tune_epochs: of the dearest child.
        progress: told of each point.

    Raises:
        SettingError: no child lies within the bounds, or a folder is not empty.
    """
    folders = [output / f"{number:02d}" for number in range(1, len(budgets) + 1)]
    for folder in folders:
        if folder.exists():
            make_folder(folder)  # refused before any work is done
    children = front_children(
        search,
        cost,
        budgets,
        bounds=bounds,
        measured=measured,
        candidates=candidates,
        tune_epochs=tune_epochs,
        progress=progress,
    )
    metric = search.data.task.metric
    written: dict[int, SearchResult] = {}
    points = []
    for budget, each, folder in zip(budgets, children, folders, strict=True):
        if id(each) not in written:
            make_folder(folder)
            given = {**bounds, cost: budget, **measured}
            written[id(each)] = write_child_of(
                search, each.sample, each.child, given, folder, tune_epochs=each.tune_epochs, progress=progress
            )
        point = front_point(search, budget, cost, written[id(each)], each.tune_epochs)
        points.append(point)
        shown = metric.text(point[metric.name])
        progress.say(f"{cost} at most {budget:,.6g}: {point['cost']:,.6g}, {shown} validation")
    return front_of(search, cost, points, random_points(search, cost), tune_epochs)
