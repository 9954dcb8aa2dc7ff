"""The results as a picture."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.speed.summary import DEFAULT_TOLERANCE

__all__ = ["draw"]

COLOURS = {"snas": "tab:blue", "gumbel": "tab:orange", "darts": "tab:green"}
NAMES = {"snas": "SNAS", "gumbel": "GumbelDARTS", "darts": "DARTS"}


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw seconds per update over the schedule, and the gradient's error over the temperature."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 5))
    for axis, space in zip(axes[:2], ("hub", "snas"), strict=True):
        _schedule(axis, report["runs"], space)
    _errors(axes[2], report.get("gradient_error", []))
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _schedule(axis: Any, runs: list[dict[str, Any]], space: str) -> None:
    axis.set_title({"hub": "NNI's DARTS space", "snas": "SnasCellSpace"}[space])
    axis.set_xlabel("share of the schedule")
    axis.set_ylabel("seconds per update")
    shown: set[str] = set()
    for run in runs:
        if run["part"] != "schedule" or "result" not in run or not run["name"].startswith(space):
            continue
        _, logits, strategy = run["name"].split("/")
        epochs = [list(epoch) for epoch in run["result"]["steps"]]
        epochs[0] = epochs[0][1:] or epochs[0]  # the first batch is warm-up
        x = [(i + 1) / len(epochs) for i in range(len(epochs))]
        label = f"{NAMES[strategy]}, {logits} logits"
        axis.plot(
            [0, *x] if strategy != "snas" else x,
            [mean(epochs[0]), *map(mean, epochs)] if strategy != "snas" else [mean(e) for e in epochs],
            color=COLOURS[strategy],
            linestyle="-" if logits == "uniform" else "--",
            label=None if label in shown else label,
        )
        shown.add(label)
    axis.set_ylim(bottom=0)
    if shown:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize="small")


def _errors(axis: Any, rows: list[dict[str, Any]]) -> None:
    axis.set_title(f"error of the logits' gradient at tolerance {DEFAULT_TOLERANCE}")
    axis.set_xlabel("temperature")
    for name in dict.fromkeys(row["of"] for row in rows):
        points = [
            (r["temperature"], r["mean"]) for r in rows if r["of"] == name and r["tolerance"] == DEFAULT_TOLERANCE
        ]
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.set_ylim(bottom=0)
    if rows:
        axis.invert_xaxis()  # the search goes from high to low
        axis.legend()
