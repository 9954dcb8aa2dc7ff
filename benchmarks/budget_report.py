"""The table and the plot of ``benchmarks.budget``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["table", "write_plot"]


def table(document: dict[str, Any]) -> str:
    """Markdown page with one row for each run."""
    runs, peer = document["runs"], {(run["seed"], run["budget"]): run for run in document["peer"]}
    within = sum(run["within"] for run in runs)
    binding = [run for run in runs if run["binding"]]
    close = sum(run["child_cost"] >= 0.95 * run["budget"] for run in binding)
    peer_within = sum(run["within"] for run in peer.values())
    lines = [
        "# Does the child meet its budget?",
        "",
        f"`{document['command'].strip()}`: handwritten digits, {document['epochs']} epochs, parameters between "
        f"{document['cheapest']:,.0f} and {document['dearest']:,.0f}.",
        "",
        f"- within the budget: {within} of {len(runs)}",
        f"- where the budget binds, within 5 % of it: {close} of {len(binding)}",
        f"- NNI's GumbelDARTS within the same budgets: {peer_within} of {len(peer)}",
    ]
    if document.get("peer_penalty_error"):
        lines.append(
            f"- its own parameter penalty does not run on this space (`{document['peer_penalty_error']}`), so its "
            "children are those of a search without one, one for each seed"
        )
    lines += [
        "",
        "| seed | budget | child | child / budget | binds | mode | expected | given up (nats) | test accuracy "
        "| GumbelDARTS child | its accuracy |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        other = peer.get((run["seed"], run["budget"]))
        theirs = f"{other['child_cost']:,.0f} | {other['child_accuracy']:.1%}" if other else "- | -"
        lines.append(
            f"| {run['seed']} | {run['budget']:,.0f} | {run['child_cost']:,.0f} "
            f"| {run['child_cost'] / run['budget']:.3f} | {'yes' if run['binding'] else 'no'} "
            f"| {run['mode_cost']:,.0f} | {run['expected_cost']:,.0f} | {run['log_probability_given_up']:.2f} "
            f"| {run['child_accuracy']:.1%} | {theirs} |"
        )
    return "\n".join(lines) + "\n"


def write_plot(document: dict[str, Any], path: Path) -> None:
    """Cost over budget for both methods, and how the controller moved in one run whose budget binds."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for runs, label, marker in ((document["runs"], "SNAS", "o"), (document["peer"], "GumbelDARTS", "x")):
        x, y = [run["budget"] for run in runs], [run["child_cost"] / run["budget"] for run in runs]
        left.plot(x, y, marker, label=label)
    left.axhline(1, color="grey", linewidth=1)
    left.set(xlabel="budget (parameters)", ylabel="child's parameters / budget")
    left.legend()
    shown = max(document["runs"], key=lambda run: (run["binding"], run["child_accuracy"]))
    epochs = range(1, len(shown["history"]) + 1)
    right.plot(epochs, [e["budget/params/expected"] for e in shown["history"]], label="expected cost")
    right.plot(epochs, [e["budget/params/mode"] for e in shown["history"]], "--", label="cost of the mode")
    right.axhline(shown["budget"], color="grey", linewidth=1, label="budget")
    right.set(xlabel="epoch", ylabel="parameters", title=f"seed {shown['seed']}, budget {shown['budget']:,.0f}")
    multiplier = right.twinx()
    multiplier.plot(epochs, [e["budget/params/multiplier"] for e in shown["history"]], color="tab:red", alpha=0.6)
    multiplier.set_ylabel("multiplier", color="tab:red")
    right.legend(loc="upper right")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
