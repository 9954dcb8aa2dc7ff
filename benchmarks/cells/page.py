"""The page of the protocol: every trial, also the bad ones, with what was wanted."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, pstdev
from typing import Any

from benchmarks.cells.judge import DEEP, EARLIER, JUDGE, merits, rank_correlation
from benchmarks.goal_table import goal_table
from trials.bench.summary import markdown_table

__all__ = ["TRUSTED", "WANTED", "best_trial", "goals", "judge_correlation", "page"]

WANTED = 94.0
WANTED_LARGE = 94.25
LEAST = 93.6
"""Percent in CIFAR-10's table: of the mean over the confirming seeds, with the large budget, and of each."""
LARGE_SECONDS = 7200
"""Of one core: the large budget."""
TRUSTED = 0.5
"""Rank correlation with the table from which on the judge may choose settings."""


def best_trial(rows: list[dict[str, Any]]) -> str:
    """The trial with the best mean judgment over the seeds of the choice; of equal ones the first."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["phase"] == "choose":
            found[row["trial"]].append(row["judged"])
    return max(found, key=lambda name: mean(found[name]))


def judge_correlation(ranking: list[dict[str, Any]], judge: str = JUDGE) -> float | None:
    """Spearman's rank correlation of a judge's merits and the table's accuracies; None for fewer than three cells.

    Args:
        ranking: rows of any judges.
        judge: which of them.
    """
    own = _of(ranking, judge)
    if len(own) < 3:
        return None
    return rank_correlation(merits(own), [row["table"] for row in own])


def _of(ranking: list[dict[str, Any]], judge: str) -> list[dict[str, Any]]:
    return [row for row in ranking if row.get("judge", EARLIER) == judge]


def _judges(ranking: list[dict[str, Any]]) -> dict[str, float]:
    """Rank correlations of those that ranked enough cells, in the order of their first."""
    names = dict.fromkeys(row.get("judge", EARLIER) for row in ranking)
    found = {judge: judge_correlation(ranking, judge) for judge in names}
    return {judge: correlation for judge, correlation in found.items() if correlation is not None}


def goals(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted and what was measured, of the trials that were run with the confirming seeds."""
    found: list[dict[str, Any]] = []
    for judge, correlation in _judges(report["ranking"]).items():
        cells = len(_of(report["ranking"], judge))
        found.append(
            {
                "name": f"rank correlation of a judge ({judge}) and the table over {cells} good cells",
                "wanted": f"at least {TRUSTED}, or nothing is chosen by it",
                "measured": f"{correlation:.2f}",
                "met": correlation >= TRUSTED,
            }
        )
    seconds = {trial: mean(row["processor_seconds"] for row in rows) for trial, rows in _confirmed(report).items()}
    for trial, rows in _confirmed(report).items():
        reached = [row["table"] for row in rows]
        large = any(row.get("finalists") or row.get("climbed") for row in rows)
        wanted = WANTED_LARGE if large else WANTED
        spread = f"{mean(reached):.2f} ± {pstdev(reached):.2f}, the worst {min(reached):.2f}"
        goal = {"name": f"{trial}: CIFAR-10 accuracy in the table, {len(rows)} {'seeds' if rows[1:] else 'seed'}"}
        goal |= {"wanted": f"mean {wanted}, none below {LEAST}", "measured": spread}
        found.append({**goal, "met": mean(reached) >= wanted and min(reached) >= LEAST})
        if large:
            longest = max(row["processor_seconds"] for row in rows)
            goal = {"name": f"{trial}: processor time of a search", "wanted": f"at most {LARGE_SECONDS} s"}
            found.append({**goal, "measured": f"{longest:.0f} s the longest", "met": longest <= LARGE_SECONDS})
        elif trial != "defaults" and "defaults" in seconds:
            share = seconds[trial] / seconds["defaults"]
            goal = {"name": f"{trial}: processor time of a search", "wanted": "at most the defaults'"}
            found.append({**goal, "measured": f"{share:.2f} of it", "met": share <= 1})
    return found


def _confirmed(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the confirming seeds that have been looked up, by trial."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in report["rows"]:
        if row["phase"] == "confirm" and row["table"] is not None:
            found[row["trial"]].append(row)
    return found


def page(report: dict[str, Any]) -> str:
    """Write the page of what there is by now."""
    lines = ["# NAS-Bench-201: settings chosen by held-out images", "", f"`{report['command']}`", ""]
    lines += [
        f"A cell is judged by the held-out accuracy of a network that is trained alone: {JUDGE}. Settings are chosen "
        "by that; the chosen one is run with other seeds; the table is read once, at the end. A climb goes from the "
        f"found cell to better ones, an edge at a time, by {DEEP.in_words}: the sum of a cell's ranks by both. "
        f"Wanted: a mean of {WANTED} over the confirming seeds ({WANTED_LARGE} for searches of up to two hours of a "
        f"core), and none below {LEAST}.",
        "",
    ]
    reached = goals(report)
    if reached:
        lines += [*goal_table(reached), ""]
    ranking = report["ranking"]
    judges = _judges(ranking)
    if judges:
        lines += ["## Does a judge rank cells as the table does?", ""]
        if all(correlation < TRUSTED for correlation in judges.values()):
            lines += [
                "None does, so nothing is chosen. The trials are compared on seeds that nothing was chosen with, as "
                "they are, and the defaults stay what they were.",
                "",
            ]
    for judge, correlation in judges.items():
        own = _of(ranking, judge)
        lines += [f"{judge}: Spearman's rank correlation over {len(own)} drawn cells is **{correlation:.2f}**.", ""]
        lines += [_judgments(own), ""]
    if report["rows"]:
        lines += ["## Every search", "", _searches(report["rows"]), ""]
    for row in report["rows"]:
        if row.get("finalists"):
            lines += [f"## Finalists of {row['trial']}, seed {row['seed']}", "", "The most probable first.", ""]
            lines += [_judgments(row["finalists"]), ""]
        if row.get("climbed"):
            lines += [f"## Climb of {row['trial']}, seed {row['seed']}", "", "In the order they were measured.", ""]
            lines += [_judgments(row["climbed"]), ""]
    if report.get("chosen"):
        lines += [f"Chosen: **{report['chosen']}**.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _number(value: float | None, factor: float = 1.0) -> str:
    return "" if value is None else f"{factor * value:.2f}"


def _judgments(rows: list[dict[str, Any]]) -> str:
    flows = any("flow" in row for row in rows)
    cells = [
        [
            _code(row["arch"]),
            _number(row["held_out"], 100),
            *([_number(row.get("flow"))] * flows),
            _number(row.get("table")),
        ]
        for row in rows
    ]
    return markdown_table(["cell", "judged", *["flow"] * flows, "table"], cells)


def _searches(rows: list[dict[str, Any]]) -> str:
    each = [
        [
            row["phase"],
            row["trial"],
            str(row["seed"]),
            f"{row['processor_seconds']:.0f}",
            _number(row["held_out"], 100),
            _number(row["judged"], 100),
            _number(row["table"]),
            _code(row["arch"]),
        ]
        for row in rows
    ]
    return markdown_table(["phase", "trial", "seed", "processor seconds", "child", "judged", "table", "cell"], each)


def _code(arch: str) -> str:
    return f"`{arch}`".replace("|", r"\|")
