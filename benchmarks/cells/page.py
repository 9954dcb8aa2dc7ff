"""The page of the protocol: every trial, also the bad ones, with what was wanted."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, pstdev
from typing import Any

from benchmarks.cells.judge import CELLS_PER_STAGE, EPOCHS, rank_correlation
from trials.bench.summary import markdown_table

__all__ = ["WANTED", "best_trial", "page"]

WANTED = 94.0
LEAST = 93.6
"""Percent in CIFAR-10's table: of the mean over the confirming seeds, and of each."""


def best_trial(rows: list[dict[str, Any]]) -> str:
    """The trial with the best mean judgment over the seeds of the choice; of equal ones the first."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["phase"] == "choose":
            found[row["trial"]].append(row["judged"])
    return max(found, key=lambda name: mean(found[name]))


def page(report: dict[str, Any]) -> str:
    """Write the page of what there is by now."""
    lines = ["# NAS-Bench-201: settings chosen by held-out images", "", f"`{report['command']}`", ""]
    lines += [
        f"A cell is judged by the held-out accuracy of a network of {CELLS_PER_STAGE} cells a stage that is trained "
        f"alone for {EPOCHS} epochs. Settings are chosen by that; the chosen one is run with other seeds; the table is "
        f"read once, at the end. Wanted: a mean of {WANTED} over the confirming seeds, and none below {LEAST}.",
        "",
    ]
    ranking = report["ranking"]
    if len(ranking) > 2:
        found = rank_correlation([row["held_out"] for row in ranking], [row["table"] for row in ranking])
        lines += ["## Does the judge rank cells as the table does?", ""]
        lines += [f"Spearman's rank correlation over {len(ranking)} drawn cells: **{found:.2f}**.", ""]
        cells = [[_code(row["arch"]), f"{100 * row['held_out']:.2f}", f"{row['table']:.2f}"] for row in ranking]
        lines += [markdown_table(["cell", "judged", "table"], cells), ""]
    if report["rows"]:
        lines += ["## Every search", "", _searches(report["rows"]), ""]
    if report.get("chosen"):
        lines += [f"Chosen: **{report['chosen']}**.", ""]
    confirmed = [row["table"] for row in report["rows"] if row["phase"] == "confirm" and row["table"] is not None]
    if confirmed:
        reached = mean(confirmed) >= WANTED and min(confirmed) >= LEAST
        lines += [
            f"Confirmed with {len(confirmed)} seeds: {mean(confirmed):.2f} ± {pstdev(confirmed):.2f}, the worst "
            f"{min(confirmed):.2f}. The goal was {'reached' if reached else '**missed**'}."
        ]
    return "\n".join(lines).rstrip() + "\n"


def _searches(rows: list[dict[str, Any]]) -> str:
    def number(value: float | None, factor: float = 1.0) -> str:
        return "" if value is None else f"{factor * value:.2f}"

    each = [
        [
            row["phase"],
            row["trial"],
            str(row["seed"]),
            f"{row['seconds']:.0f}",
            number(row["held_out"], 100),
            number(row["judged"], 100),
            number(row["table"]),
            _code(row["arch"]),
        ]
        for row in rows
    ]
    return markdown_table(["phase", "trial", "seed", "seconds", "child", "judged", "table", "cell"], each)


def _code(arch: str) -> str:
    return f"`{arch}`".replace("|", r"\|")
