"""Levels, a table and one plot."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from trials.bench.summary import markdown_table

__all__ = ["LEVELS", "draw", "page", "seconds_to"]

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


def page(report: dict[str, Any]) -> str:
    """Write the page."""
    lines = ["# Time to quality", "", f"`{report['command']}`", ""]
    lines += [
        "Seconds of search on one thread until the child that would be handed over reaches a held-out accuracy, and",
        "later ones keep it: the median over seeds, and how many of them got there. What RandomOneShot needs to select",
        "one of its children is counted. BatchNorm is recalibrated for all, which is not.",
    ]
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
    found = [seconds for row in rows if (seconds := seconds_to(row["points"], level)) is not None]
    return f"{median(found):.1f} ({len(found)} of {len(rows)})" if found else f"never (0 of {len(rows)})"


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
