"""``python -m benchmarks.budget``: searches with budgets beside the truth about every child.

Spaces whose children are all trained alone (three seeds), five budgets each: the child of a search with a budget, the
best of as many random children within it, and NNI's GumbelDARTS, whose child gives way to the cheapest one where it
costs too much. Eight budgets from one search beside a search for each of them. With ``--images`` also searches with a
budget in NAS-Bench-201's space, and with ``--nasbench201-table`` what its table says of their cells.

Writes ``docs/results/budget.json`` after every row and goes on from it when started again; several runs may add
different parts at once.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.budget import fronts, nasbench201
from benchmarks.budget.goals import TUNED_ON, goals
from benchmarks.budget.measure import EPOCHS, INPUT, gumbel_darts, search, train_alone
from benchmarks.budget.page import page, write_plot
from benchmarks.budget.spaces import SPACES, children_of
from snas_nni.files import write_atomically

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FRACTIONS = (0.1, 0.25, 0.45, 0.7, 0.9)
"""Where the budgets lie between the cheapest and the dearest child."""
TABLES = ("runs", "truth", "peer", "fronts", "separate", "nasbench201")

Row = tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]
"""Table, key, and what measures the rest."""


def main() -> int:
    """Run what the result file does not have yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(TUNED_ON))
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--images", type=Path, help="CIFAR-10 as folders of images, for nasbench201")
    parser.add_argument("--nasbench201-table", type=Path, help="its CSV file, .csv or .csv.gz")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    path = arguments.output / "budget.json"
    document = _changed(path, lambda document: None)
    due = [row for row in _rows(arguments) if row[0] in arguments.tables and not _has(document, *row[:2])]
    start = time.monotonic()
    for number, (table, key, measure) in enumerate(due, 1):
        row = {**key, **measure()}
        document = _changed(path, lambda document, table=table, row=row: document.setdefault(table, []).append(row))
        left = (time.monotonic() - start) / number * (len(due) - number)
        print(f"{table} {key}: {number} of {len(due)}, {left:.0f} s left", flush=True)
    if arguments.nasbench201_table is not None and arguments.images is not None:
        for row in document.get("nasbench201", []):
            row |= nasbench201.regret(arguments.images, arguments.nasbench201_table, row)
        found = document.get("nasbench201", [])
        document = _changed(path, lambda document: document.update(nasbench201=found))
    document = _changed(path, lambda document: document.update(goals=goals(document)))
    path.with_suffix(".md").write_text(page(document), encoding="utf-8")
    write_plot(document, path.with_suffix(".png"))
    print(page(document))
    return 0


def budgets_of(children: list[dict[str, Any]]) -> list[float]:
    """The five budgets of a space, in parameters."""
    low, high = (edge["costs"]["params"] for edge in (children[0], children[-1]))
    return [float(round(low + fraction * (high - low))) for fraction in FRACTIONS]


def _changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Read the file, change it and write it, while no other run does."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # given back when it is closed
        document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        document = {**{table: [] for table in TABLES}, **document}
        document |= {"command": "python -m benchmarks.budget", "epochs": EPOCHS}
        change(document)
        write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
    finally:
        os.close(folder)
    return document


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    for seed in arguments.seeds:
        for space in arguments.spaces:
            yield from _rows_of_space(space, seed)
        if arguments.images is not None:
            for fraction in nasbench201.FRACTIONS:
                key = {"fraction": fraction, "seed": seed}
                work = arguments.output / "nasbench201-warm-up"
                yield "nasbench201", key, partial(nasbench201.search, arguments.images, fraction, seed, work)


def _rows_of_space(space: str, seed: int) -> Iterator[Row]:
    place = {"space": space, "seed": seed}
    children = _children(space)
    for budget in budgets_of(children):
        yield "runs", {**place, "budget": budget}, partial(search, space, budget, seed)
    for number, child in enumerate(children):
        yield "truth", {**place, "child": number}, partial(_truth, space, child, seed)
    yield "peer", place, partial(gumbel_darts, space, seed)
    yield "fronts", place, partial(fronts.front, space, seed)
    for budget in fronts.budgets_of(space):
        yield "separate", {**place, "budget": budget}, partial(fronts.one_budget, space, budget, seed)


@cache
def _children(space: str) -> list[dict[str, Any]]:
    return children_of(SPACES[space], INPUT)


def _has(document: dict[str, Any], table: str, key: dict[str, Any]) -> bool:
    return any(all(each.get(name) == value for name, value in key.items()) for each in document[table])


def _truth(space: str, child: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "params": child["costs"]["params"],
        "network": child["network"],
        "accuracy": train_alone(space, child["sample"], seed),
    }


if __name__ == "__main__":
    sys.exit(main())
