"""The goals, the table and the plot of ``python -m benchmarks.budget``, from its rows."""

from __future__ import annotations

import random
import statistics
from pathlib import Path
from typing import Any

__all__ = ["compared", "goals", "page", "write_plot"]

CLOSE = 0.02
RANDOM_CHILDREN = 3


def compared(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Put every search with a budget beside the truth of its space.

    Returns:
        Rows of the searches with ``best`` (mean over seeds of the best child within the budget, trained alone, chosen
        by that mean), ``random`` (the best of some uniform children within it) and ``peer``; accuracies in [0, 1].
    """
    truth: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in document["truth"]:
        truth.setdefault((row["space"], row["network"]), []).append(row)
    rows = []
    for run in document["runs"]:
        within = {
            network: each
            for (space, network), each in truth.items()
            if space == run["space"] and each[0]["params"] <= run["budget"]
        }
        means = {network: statistics.mean(row["accuracy"] for row in each) for network, each in within.items()}
        if not means:
            continue
        own_seed = {
            network: next((row["accuracy"] for row in each if row["seed"] == run["seed"]), means[network])
            for network, each in within.items()
        }
        drawn = random.Random(run["seed"]).sample(sorted(own_seed), min(RANDOM_CHILDREN, len(own_seed)))
        rows.append(
            {
                **run,
                "within": run.get("params", float("inf")) <= run["budget"],
                "best": max(means.values()),
                "random": max(own_seed[network] for network in drawn),
                "peer": _peer(document, run, within, own_seed),
            }
        )
    return rows


def _peer(document: dict[str, Any], run: dict[str, Any], within: dict[str, Any], own_seed: dict[str, float]) -> Any:
    """GumbelDARTS' child trained alone if it is within the budget; else the cheapest child, trained alone."""
    found = next((p for p in document["peer"] if (p["space"], p["seed"]) == (run["space"], run["seed"])), None)
    if found is None:
        return None
    cheapest = min(within, key=lambda network: within[network][0]["params"])
    return own_seed.get(found["network"], own_seed[cheapest])


def goals(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted, what was measured, and whether that is met."""
    rows = compared(document)
    if not rows:
        return []
    ran = [row for row in rows if "summary" in row]
    within = sum(row["within"] for row in rows) / len(rows)
    close = sum(row["within"] and row["summary"] >= row["best"] - CLOSE for row in ran) / len(rows)
    equal = sum(row["epoch"] == row["summary"] == row["onnx"] or _equal(row) for row in ran) / len(rows)
    return [
        {"name": "child within its budget", "wanted": "all runs", "measured": within, "met": within == 1},
        {
            "name": f"held-out accuracy within {CLOSE:.0%} points of the best child within the budget, trained alone",
            "wanted": "at least 0.9 of the runs",
            "measured": close,
            "met": close >= 0.9,
        },
        {
            "name": "accuracy on the last epoch line, in summary.json and of the ONNX file in ONNX Runtime is one",
            "wanted": "all runs",
            "measured": equal,
            "met": equal == 1,
        },
    ]


def _equal(row: dict[str, Any]) -> bool:
    return max(abs(row["epoch"] - row["summary"]), abs(row["onnx"] - row["summary"])) < 1e-6


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
        "| goal | wanted | measured | met |",
        "|---|---|---|---|",
        *(
            f"| {goal['name']} | {goal['wanted']} | {goal['measured']:.3g} | {'yes' if goal['met'] else 'no'} |"
            for goal in document.get("goals", [])
        ),
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
    return "\n".join([*lines, "", "![accuracy over budget](budget.png)", ""])


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
