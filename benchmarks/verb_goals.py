"""``python -m benchmarks.verb_goals``: writes into the results of ``snas-nni bench`` what was wanted of them.

The verb compares; what it should find is this project's business, and not that of those who run it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from snas_nni.files import write_atomically

__all__ = ["nasbench201_goals", "retention_goals", "write_goals"]

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "results"
WANTED = 93.7
"""Percent in CIFAR-10's table: of SNAS's mean over the seeds."""


def nasbench201_goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """SNAS's cells reach a mean, and no other method's a better one.

    Args:
        rows: of the result file, all looked up in the table.
    """
    means = _means(rows, "table_test", 1.0)
    others = {name: value for name, value in means.items() if name != "snas"}
    return [
        {
            "name": "CIFAR-10 accuracy of SNAS's cells in the table, mean over seeds",
            "wanted": f"at least {WANTED}",
            "measured": round(means["snas"], 2),
            "met": means["snas"] >= WANTED,
        },
        {
            "name": "the same, beside NNI's DARTS and GumbelDARTS and random sampling",
            "wanted": "the best",
            "measured": _in_words(means),
            "met": means["snas"] > max(others.values()),
        },
    ]


def retention_goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """SNAS's child loses nothing that the supernet had, and is the best one before and after retraining.

    Args:
        rows: of the result file.
    """
    supernet, child = _means(rows, "search_accuracy"), _means(rows, "child_accuracy")
    change = child["snas"] - supernet["snas"]
    found = [
        {
            "name": "accuracy of SNAS's child less that of the sampled supernet, held out, mean over seeds",
            "wanted": "at least -1 point",
            "measured": f"{change:+.2f}",
            "met": change >= -1,
        }
    ]
    for name, means in (("as it is derived", child), ("after retraining", _means(rows, "retrained_accuracy"))):
        best = max(value for method, value in means.items() if method != "snas")
        found.append(
            {
                "name": f"child {name}, held out, beside the other methods",
                "wanted": "the best",
                "measured": _in_words(means),
                "met": means["snas"] > best,
            }
        )
    return found


def _means(rows: list[dict[str, Any]], key: str, factor: float = 100.0) -> dict[str, float]:
    methods = dict.fromkeys(row["method"] for row in rows)
    return {name: factor * mean(row[key] for row in rows if row["method"] == name) for name in methods}


def _in_words(means: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in means.items())


RESULTS: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "nasbench201.json": nasbench201_goals,
    "retention-digits.json": retention_goals,
    "retention-cifar10.json": retention_goals,
}


def write_goals(folder: Path) -> None:
    """Write the goals into the files that are there."""
    for name, goals in RESULTS.items():
        path = folder / name
        if path.exists():
            report = json.loads(path.read_text(encoding="utf-8"))
            report["goals"] = goals(report["rows"])
            write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    write_goals(FOLDER)
    sys.exit(0)
