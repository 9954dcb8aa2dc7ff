"""Levels, a table and one plot."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.goal_table import goal_table
from trials.bench.summary import markdown_table

__all__ = ["LEVELS", "draw", "goals", "page", "seconds_to"]

LEVELS = {"digits": (0.90, 0.95, 0.97), "nasbench201": (0.45, 0.50, 0.55)}
"""Held-out accuracies."""

COLOURS = {"snas": "tab:blue", "gumbel_darts": "tab:orange", "darts": "tab:green", "random": "tab:grey"}


def seconds_to(points: list[dict[str, float]], level: float) -> float | None:
    """Seconds until a child reaches a level and every later one keeps it; None where it never does.

    Args:
        points: ``seconds`` and ``accuracy`` after each epoch.
        level: held-out accuracy.
    """
    reached = None
    for point in points:
        if point["accuracy"] < level:
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
        for level in LEVELS[task]:
            taken = {name: _reached([row for row in rows if (row["task"], row["method"]) == (task, name)], level)
                     for name in methods}  # fmt: skip
            times = {name: median(found) if None not in found else math.inf for name, found in taken.items()}
            others = [times[name] for name in methods if name != "snas"]
            found.append(
                {
                    "name": f"{task}: seconds to {level:.0%} held out",
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
        levels = LEVELS[task]
        table = [
            [method, *(_cell([row for row in rows if row["method"] == method], level) for level in levels)]
            for method in dict.fromkeys(row["method"] for row in rows)
        ]
        lines += ["", f"## {task}", "", markdown_table(["method", *(f"{level:.0%}" for level in levels)], table)]
    return "\n".join([*lines, "", "![Accuracy over time](time_to_quality.png)", ""])


def _cell(rows: list[dict[str, Any]], level: float) -> str:
    return _in_words(_reached(rows, level))


def _reached(rows: list[dict[str, Any]], level: float) -> list[float | None]:
    return [seconds_to(row["points"], level) for row in rows]


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
