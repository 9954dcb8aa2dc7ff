"""Levels, a table and one plot."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.goal_table import goal_table
from trials.bench.summary import markdown_table

__all__ = ["IN_TABLE", "LEVELS", "draw", "goals", "page", "seconds_to"]

LEVELS = {"digits": (0.90, 0.95, 0.97), "nasbench201": (0.45, 0.50, 0.55)}
"""Held-out accuracies."""
IN_TABLE = (90.0, 93.0, 93.5)
"""Percent in CIFAR-10's table of NAS-Bench-201."""

COLOURS = {"snas": "tab:blue", "gumbel_darts": "tab:orange", "darts": "tab:green", "random": "tab:grey"}


def seconds_to(points: list[dict[str, Any]], level: float, of: str = "accuracy") -> float | None:
    """Seconds until a child reaches a level and every later one keeps it; None where it never does.

    Args:
        points: ``seconds`` and ``accuracy``, or what ``of`` names, after each epoch.
        level: of it.
        of: the figure.
    """
    reached = None
    for point in points:
        if point[of] < level:
            reached = None
        elif reached is None:
            reached = point["seconds"]
    return reached


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each task and level: SNAS gets there in every seed, and sooner than every other method that does.

    Args:
        rows: each with ``task``, ``method``, ``seed`` and ``points``.
    """
    found = []
    for task in dict.fromkeys(row["task"] for row in rows):
        methods = list(dict.fromkeys(row["method"] for row in rows if row["task"] == task))
        if "snas" not in methods:
            continue
        own = {name: [row for row in rows if (row["task"], row["method"]) == (task, name)] for name in methods}
        for of, level, words in _levels([row for row in rows if row["task"] == task]):
            taken = {name: _reached(own[name], level, of) for name in methods}
            times = {name: median(found) if None not in found else math.inf for name, found in taken.items()}
            others = [times[name] for name in methods if name != "snas"]
            found.append(
                {
                    "name": f"{task}: seconds to {words}",
                    "wanted": "SNAS in every seed, and sooner than every other method",
                    "measured": ", ".join(f"{name} {_in_words(taken[name])}" for name in methods),
                    "met": times["snas"] < min(others, default=math.inf),
                }
            )
    return found


def page(report: dict[str, Any]) -> str:
    """Write the page."""
    lines = ["# Time to quality", "", f"`{report['command']}`", ""]
    lines += [
        "Seconds of search on one thread until the child that would be handed over reaches a held-out accuracy, and",
        "later ones keep it: the median over seeds, and how many of them got there. What RandomOneShot needs to select",
        "one of its children is counted. BatchNorm is recalibrated for all, which is not.",
    ]
    reached = goals(report["rows"])
    lines += ["", *goal_table(reached)] if reached else []
    for task in dict.fromkeys(row["task"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["task"] == task]
        levels = _levels(rows)
        by_method = {name: [row for row in rows if row["method"] == name] for name in (row["method"] for row in rows)}
        table = [
            [name, *(_in_words(_reached(own, level, of)) for of, level, _ in levels)] for name, own in by_method.items()
        ]
        lines += ["", f"## {task}", "", markdown_table(["method", *(words for *_, words in levels)], table)]
    return "\n".join([*lines, "", "![Accuracy over time](time_to_quality.png)", ""])


def _levels(rows: list[dict[str, Any]]) -> list[tuple[str, float, str]]:
    """What is wanted of the children of a task: the figure, how much of it, and in words."""
    found = [("accuracy", level, f"{level:.0%} held out") for level in LEVELS[rows[0]["task"]]]
    if all("table" in point for row in rows for point in row["points"]):
        found += [("table", level, f"a cell of {level:g}% in the table") for level in IN_TABLE]
    return found


def _reached(rows: list[dict[str, Any]], level: float, of: str) -> list[float | None]:
    return [seconds_to(row["points"], level, of) for row in rows]


def _in_words(taken: list[float | None]) -> str:
    found = [seconds for seconds in taken if seconds is not None]
    return f"{median(found):.1f} ({len(found)} of {len(taken)})" if found else f"never (0 of {len(taken)})"


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw held-out accuracy over seconds, a line for each search."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tasks = list(dict.fromkeys(row["task"] for row in report["rows"]))
    figure, axes = pyplot.subplots(1, max(1, len(tasks)), figsize=(7 * max(1, len(tasks)), 5), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        named: set[str] = set()
        for row in (row for row in report["rows"] if row["task"] == task):
            method = row["method"]
            seconds, accuracy = ([point[key] for point in row["points"]] for key in ("seconds", "accuracy"))
            axis.plot(seconds, accuracy, color=COLOURS[method], label=None if method in named else method)
            named.add(method)
        axis.set_xscale("log")
        axis.set(title=task, xlabel="seconds of search", ylabel="held-out accuracy of the child")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
