"""What was wanted of ``python -m benchmarks.budget`` and what was measured, from its rows."""

from __future__ import annotations

import random
import statistics
from typing import Any

__all__ = ["RANDOM_CHILDREN", "TUNED_ON", "compared", "fronts_compared", "goals"]

CLOSE = 0.02
RANDOM_CHILDREN = 3
TUNED_ON = (0, 1, 2)
"""Seeds that defaults were chosen on; what is claimed has to hold for others."""
REGRET = 1.5
FRONT_LOSS = 0.01
FRONT_SPEED = 5


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
    """What was wanted, what was measured, and whether that is met; of what was run."""
    rows = compared(document)
    fresh = [row for row in rows if row["seed"] not in TUNED_ON]
    found = []
    for group, name in ((rows, ""), (fresh, ", seeds that nothing was chosen on")):
        if group:
            found.extend(_goals_of_runs(group, name))
    return [*found, *_goals_of_cells(document), *_goals_of_fronts(document)]


def _goals_of_runs(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    ran = [row for row in rows if "summary" in row]
    within = sum(row["within"] for row in rows) / len(rows)
    close = sum(row["within"] and row["summary"] >= row["best"] - CLOSE for row in ran) / len(rows)
    equal = sum(_equal(row) for row in ran) / len(rows)
    runs = f" ({len(rows)} runs{name})"
    return [
        _goal("child within its budget" + runs, "all runs", within, within == 1),
        _goal(
            f"held-out accuracy within {CLOSE:.0%} points of the best child within the budget, trained alone" + runs,
            "at least 0.9 of the runs",
            close,
            close >= 0.9,
        ),
        _goal(
            "accuracy on the last epoch line, in summary.json and of the ONNX file in ONNX Runtime is one" + runs,
            "all runs",
            equal,
            equal == 1,
        ),
    ]


def _goals_of_cells(document: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [row for row in document.get("nasbench201", []) if "test" in row]
    if not rows:
        return []
    regret = statistics.mean(row["best"] - row["test"] for row in rows)
    within = sum(row["macs"] <= row["bound"] for row in rows) / len(rows)
    return [
        _goal(f"NAS-Bench-201: cell within its budget ({len(rows)} searches)", "all searches", within, within == 1),
        _goal(
            f"NAS-Bench-201: mean regret in the table's accuracy, in points ({len(rows)} searches)",
            f"at most {REGRET}",
            regret,
            regret <= REGRET,
        ),
    ]


def _goals_of_fronts(document: dict[str, Any]) -> list[dict[str, Any]]:
    rows = fronts_compared(document)
    if not rows:
        return []
    lost = statistics.mean(row["lost"] for row in rows)
    speed = sum(row["separate_cpu"] for row in rows) / sum(row["cpu"] for row in rows)
    fresh = all(row["seed"] not in TUNED_ON for row in rows)
    runs = f" ({len(rows)} fronts of eight budgets{', seeds that nothing was chosen on' if fresh else ''})"
    return [
        _goal(
            "accuracy lost by one search beside a search for each budget" + runs,
            f"at most {FRONT_LOSS}",
            lost,
            lost <= FRONT_LOSS,
        ),
        _goal(
            "processor time of all searches by that of one, tuned" + runs,
            f"at least {FRONT_SPEED}",
            speed,
            speed >= FRONT_SPEED,
        ),
    ]


def _goal(name: str, wanted: str, measured: float, met: bool) -> dict[str, Any]:
    return {"name": name, "wanted": wanted, "measured": measured, "met": met}


def fronts_compared(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Put every front beside the searches with one budget each, where all of these were run.

    Returns:
        For each ``space`` and ``seed``: ``points`` with the accuracy of the front's child and of the ``separate`` one,
        the mean ``lost`` between them, and processor seconds, ``cpu`` and ``separate_cpu``.
    """
    alone = {(row["space"], row["seed"], row["budget"]): row for row in document.get("separate", [])}
    rows = []
    for front in document.get("fronts", []):
        pairs = [(point, alone.get((front["space"], front["seed"], point["budget"]))) for point in front["points"]]
        found = [(point, row) for point, row in pairs if row is not None]
        if len(found) < len(pairs):
            continue
        points = [
            {"budget": point["budget"], "accuracy": point["accuracy"], "separate": row["accuracy"]}
            for point, row in found
        ]
        rows.append(
            {
                "space": front["space"],
                "seed": front["seed"],
                "points": points,
                "lost": statistics.mean(point["separate"] - point["accuracy"] for point in points),
                "cpu": front["cpu"],
                "separate_cpu": sum(row["cpu"] for _, row in found),
            }
        )
    return rows


def _equal(row: dict[str, Any]) -> bool:
    return max(abs(row["epoch"] - row["summary"]), abs(row["onnx"] - row["summary"])) < 1e-6
