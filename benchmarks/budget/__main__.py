"""``python -m benchmarks.budget``: searches with budgets beside the truth about every child.

Spaces whose children are all trained alone (three seeds), five budgets each: the child of a search with a budget, the
best of as many random children within it, and NNI's GumbelDARTS, whose child gives way to the cheapest one where it
costs too much. Writes ``docs/results/budget.json`` after every row and goes on from it when started again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.budget.measure import EPOCHS, INPUT, gumbel_darts, search, train_alone
from benchmarks.budget.page import goals, page, write_plot
from benchmarks.budget.spaces import SPACES, children_of

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SEEDS = (0, 1, 2)
FRACTIONS = (0.1, 0.25, 0.45, 0.7, 0.9)
"""Where the budgets lie between the cheapest and the dearest child."""


def main() -> int:
    """Run what the result file does not have yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--tables", nargs="+", default=["runs", "truth", "peer"], choices=["runs", "truth", "peer"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    path = arguments.output / "budget.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"truth": [], "runs": [], "peer": []}
    document |= {"command": "python -m benchmarks.budget", "epochs": EPOCHS}
    due = [
        key
        for key in _keys(arguments.spaces, arguments.seeds)
        if key[0] in arguments.tables and not _has(document, *key)
    ]
    start = time.monotonic()
    for number, (table, key, row) in enumerate(due, 1):
        document[table].append({**key, **_measure(table, key, row)})
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        left = (time.monotonic() - start) / number * (len(due) - number)
        print(f"{table} {key}: {number} of {len(due)}, {left:.0f} s left", flush=True)
    document["goals"] = goals(document)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(document), encoding="utf-8")
    write_plot(document, path.with_suffix(".png"))
    print(page(document))
    return 0


def budgets_of(children: list[dict[str, Any]]) -> list[float]:
    """The five budgets of a space, in parameters."""
    low, high = (edge["costs"]["params"] for edge in (children[0], children[-1]))
    return [float(round(low + fraction * (high - low))) for fraction in FRACTIONS]


def _keys(spaces: list[str], seeds: list[int]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for seed in seeds:
        for space in spaces:
            children = children_of(SPACES[space], INPUT)
            for budget in budgets_of(children):
                yield "runs", {"space": space, "seed": seed, "budget": budget}, {}
            for number, child in enumerate(children):
                yield "truth", {"space": space, "seed": seed, "child": number}, child
            yield "peer", {"space": space, "seed": seed}, {}


def _has(document: dict[str, Any], table: str, key: dict[str, Any], row: dict[str, Any]) -> bool:
    return any(all(each.get(name) == value for name, value in key.items()) for each in document[table])


def _measure(table: str, key: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    if table == "runs":
        return search(key["space"], key["budget"], key["seed"])
    if table == "peer":
        return gumbel_darts(key["space"], key["seed"])
    return {
        "params": child["costs"]["params"],
        "network": child["network"],
        "accuracy": train_alone(key["space"], child["sample"], key["seed"]),
    }


if __name__ == "__main__":
    sys.exit(main())
