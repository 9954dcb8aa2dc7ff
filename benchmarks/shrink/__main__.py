"""``python -m benchmarks.shrink --data FOLDER``: this project beside other ways to a smaller network.

Two kinds of networks, trained here, shares of their MACs and of their parameters, five methods. A row is written as
soon as it is measured, and the same command goes on where the last one was cut. One thread, because accuracies are
measured and others may work meanwhile: times are processor times.
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

from benchmarks.shrink.measure import METHODS, measure, same_narrower
from benchmarks.shrink.page import goals, page
from benchmarks.shrink.peers import INSTALL
from snas_nni.files import write_atomically
from trials.training.trainer import quieten_libraries

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NETWORKS = ("resnet", "mobilenet")
SHARES = (0.5, 0.25, 0.75)
COSTS = ("macs", "params")
SEEDS = (1, 2, 3)
"""Seed 0 is left out: the test split was looked at with it while settings were chosen."""


def main() -> int:
    """Run what the result file does not have yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shrink", description=__doc__)
    parser.add_argument("--data", required=True, help="folder with train/CLASS/* and test/CLASS/*, CIFAR-10 as images")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--costs", nargs="+", default=list(COSTS), choices=COSTS)
    parser.add_argument("--weights", type=Path, default=Path("runs/shrink"), help="folder of the given networks")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="only write the page from the rows that there are")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    quieten_libraries()
    path = arguments.output / "shrink.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    document |= {"command": "python -m benchmarks.shrink --data FOLDER"}
    rows = document["rows"]
    due = [key for key in _keys(arguments) if not any(key.items() <= row.items() for row in rows)]
    if not arguments.page:
        _check_peers(arguments.methods)
    start = time.monotonic()
    for number, key in enumerate([] if arguments.page else due, 1):
        found = same_narrower(rows, key, arguments.data) if key["method"] == "narrower" else None
        row = found or measure(
            key["network"], key["cost"], key["share"], key["method"], key["seed"], arguments.data, arguments.weights
        )
        rows.append({**key, **row})
        _write(path, document)
        left = (time.monotonic() - start) / number * (len(due) - number)
        print(f"{key}: {row['test']:.2%}, {number} of {len(due)}, {left / 60:.0f} minutes left", flush=True)
    document["goals"] = goals(rows)
    _write(path, document)
    path.with_suffix(".md").write_text(page(document), encoding="utf-8")
    print(page(document))
    return 0


def _keys(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The runs, seed by seed, so that a cut benchmark has whole comparisons."""
    for seed in arguments.seeds:
        for network in arguments.networks:
            yield {"network": network, "cost": "macs", "share": 1.0, "method": "given", "seed": seed}
        for share in arguments.shares:
            for cost in arguments.costs:
                for network in arguments.networks:
                    for method in arguments.methods:
                        yield {"network": network, "cost": cost, "share": share, "method": method, "seed": seed}


def _check_peers(methods: list[str]) -> None:
    try:
        if "fastnas" in methods:
            import modelopt.torch.prune  # noqa: F401
        if {"magnitude", "taylor"} & set(methods):
            import torch_pruning  # noqa: F401
    except ImportError as error:
        raise SystemExit(
            f"{error}. The methods that this is compared with are no part of this project: {INSTALL}"
        ) from None


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
