"""The page and the plot of ``python -m benchmarks.budget``, from its rows."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.budget.goals import RANDOM_CHILDREN, compared, fronts_compared
from benchmarks.goal_table import goal_table

__all__ = ["page", "write_plot"]


def page(document: dict[str, Any]) -> str:
    """Write the Markdown page: goals, then a row for each space and budget, means over the seeds."""
    rows = compared(document)
    lines = [
        "# Does the child keep its budget, and how good is it?",
        "",
        f"`{document['command']}`: handwritten digits, {document['epochs']} epochs. Every child of three small spaces "
        "was trained alone, as many steps as a search has; the best of them within a budget is what a search with that "
        "budget is held against. Accuracies are held-out ones, means over the seeds.",
        "",
        *goal_table(document.get("goals", [])),
        "",
        f"random: the best of {RANDOM_CHILDREN} uniform children within the budget, each trained alone (so "
        f"{RANDOM_CHILDREN} times the steps); GumbelDARTS: its child trained alone, or the cheapest child where that "
        "costs more than the budget.",
        "",
        "| space | budget | child's parameters | within | SNAS | best child | random | GumbelDARTS |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for space, budget in dict.fromkeys((row["space"], row["budget"]) for row in rows):
        group = [row for row in rows if (row["space"], row["budget"]) == (space, budget)]
        ran = [row for row in group if "summary" in row]
        params = ", ".join(f"{row['params']:,.0f}" for row in ran)
        lines.append(
            f"| {space} | {budget:,.0f} | {params} | {sum(row['within'] for row in group)} of {len(group)} "
            f"| {_mean(ran, 'summary')} | {_mean(group, 'best')} | {_mean(group, 'random')} | {_mean(group, 'peer')} |"
        )
    lines += ["", "![accuracy over budget](budget.png)", "", *_fronts(document), *_cells(document)]
    return "\n".join(lines)


def _fronts(document: dict[str, Any]) -> list[str]:
    rows = fronts_compared(document)
    if not rows:
        return []
    lines = [
        "## Eight budgets from one search",
        "",
        "One search with `resources.sweep`, whose children are tuned as `snas-nni derive --sweep params:8` does, "
        "beside a search for each budget. Processor time counts from the settings to the compared children; "
        "writing files is left out of both.",
        "",
        "| space | budget | one search | a search each |",
        "|---|---|---|---|",
    ]
    points = [(row["space"], point) for row in rows for point in row["points"]]
    for space, budget in dict.fromkeys((space, point["budget"]) for space, point in points):
        group = [point for name, point in points if (name, point["budget"]) == (space, budget)]
        lines.append(f"| {space} | {budget:,.0f} | {_mean(group, 'accuracy')} | {_mean(group, 'separate')} |")
    lines += [
        "",
        "| space | seed | points lost, mean | seconds, one search | seconds, a search each |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['space']} | {row['seed']} | {100 * row['lost']:.2f} | {row['cpu']:.1f} | {row['separate_cpu']:.1f} |"
        for row in rows
    ]
    return [*lines, ""]


def _cells(document: dict[str, Any]) -> list[str]:
    rows = sorted(document.get("nasbench201", []), key=lambda row: (row["fraction"], row["seed"]))
    if not rows:
        return []
    lines = [
        "## NAS-Bench-201",
        "",
        "Searches with a budget of MACs, a part of the range from the cheapest cell to the dearest; 10,000 images of "
        "16 by 16 pixels and one cell a stage, as in [the comparison without budgets](nasbench201.md). `table` is the "
        "benchmark's 200-epoch test accuracy of the found cell, `best` that of the best cell within the budget, `mean` "
        "of all of them. Held-out accuracies of the searches' small networks are alike at all budgets, 60 to 61 %, and "
        "do not tell these cells apart.",
        "",
        "| budget | seed | MACs of the bound | table | best | mean | cell |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cell = row["arch"].replace("|", r"\|")
        table, best, mean = (f"{row[name]:.2f}" if name in row else "-" for name in ("test", "best", "mean"))
        used = row["macs"] / row["bound"]
        lines.append(f"| {row['fraction']:.0%} | {row['seed']} | {used:.0%} | {table} | {best} | {mean} | `{cell}` |")
    return [*lines, ""]


def _mean(rows: list[dict[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if row.get(name) is not None]
    return f"{100 * statistics.mean(values):.1f} %" if values else "-"


def write_plot(document: dict[str, Any], path: Path) -> None:
    """Draw held-out accuracy over the budget for each space, means over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = compared(document)
    spaces = list(dict.fromkeys(row["space"] for row in rows))
    figure, axes = pyplot.subplots(1, max(1, len(spaces)), figsize=(11, 3.8), layout="constrained", squeeze=False)
    for axis, space in zip(axes[0], spaces, strict=False):
        for name, label, style in (
            ("best", "best child within it, alone", "k--"),
            ("summary", "SNAS with the budget", "o-"),
            ("random", "best of random children", "s:"),
            ("peer", "GumbelDARTS or the cheapest", "x:"),
        ):
            points: dict[float, list[float]] = {}
            for row in rows:
                if row["space"] == space and row.get(name) is not None:
                    points.setdefault(row["budget"], []).append(row[name])
            budgets = sorted(points)
            axis.plot(budgets, [100 * statistics.mean(points[budget]) for budget in budgets], style, label=label)
        axis.set(title=space, xlabel="budget (parameters)", ylabel="held-out accuracy (%)")
    axes[0][-1].legend(fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
