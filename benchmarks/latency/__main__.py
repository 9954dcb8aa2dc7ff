"""``python -m benchmarks.latency``: tables against measured children, and budgets in milliseconds.

Every part is kept when it is done, so the same command goes on after a cut. Exporting needs no quiet machine
(``--export``); timing does (``--tables``, ``--budgets``, ``--searches``). Without a part, all of them in this order.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.latency.budgets import FRACTIONS, SEEDS, child_within, search_within
from benchmarks.latency.measuring import CLOCKS, compared, export, tables_in_pytorch
from benchmarks.latency.page import goals, page
from benchmarks.latency.spaces import SPACES
from exports.latency.clock import device_of

RESULTS = Path("docs/results/latency.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the results, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    for part, meaning in (
        ("export", "write the children as files"),
        ("tables", "time them by every clock"),
        ("budgets", "take children within budgets and time them"),
        ("searches", "search on the digits within budgets"),
    ):
        parser.add_argument(f"--{part}", action="store_true", help=meaning)
    parser.add_argument("--spaces", nargs="+", choices=list(SPACES), default=list(SPACES))
    parser.add_argument("--work", type=Path, default=Path("runs/latency-benchmark"), help="folder for files and times")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file; a page is written beside it")
    options = parser.parse_args(arguments)
    everything = not (options.export or options.tables or options.budgets or options.searches)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    document = _document(options.output)

    for space in options.spaces if everything or options.export else ():
        start = time.monotonic()
        export(space, options.work)
        print(f"{space}: exported in {time.monotonic() - start:.0f} s", flush=True)
    if everything or options.tables:
        for space in options.spaces:
            for clock in CLOCKS:
                row = compared(space, clock, options.work)
                _keep(document, options.output, "tables", ("space", "clock"), row)
                print(
                    f"{space}, {clock}: Spearman {row.get('spearman', 0):.4f}, {100 * row['median_error']:.2f} %, "
                    f"{100 * row['p90_error']:.2f} %, {row['timing_seconds']:.0f} s",
                    flush=True,
                )
            if not any(row["space"] == space for row in document["pytorch"]):
                _keep(document, options.output, "pytorch", ("space",), tables_in_pytorch(space, options.work))
    due: list[tuple[Any, ...]] = []
    if everything or options.budgets:
        due += [(space, f, seed) for space in options.spaces for f in FRACTIONS for seed in SEEDS]
    if everything or options.searches:
        due += [("widths, a search on digits", f, 0) for f in FRACTIONS]
    for space, fraction, seed in due:
        key = (space, fraction, seed)
        if any((row["space"], row["fraction"], row["seed"]) == key for row in document["budgets"]):
            continue
        named = space in SPACES
        row = child_within(space, fraction, seed, options.work) if named else search_within(fraction, options.work)
        _keep(document, options.output, "budgets", ("space", "fraction", "seed"), row)
        print(f"{space}, {row['budget_ms']:.4g} ms: measured {row['measured_ms']}", flush=True)
    print(page(document))
    return 0


def _document(path: Path) -> dict[str, Any]:
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    command = "python -m benchmarks.latency"
    return {"command": command, "device": device_of(), "goals": [], "tables": [], "pytorch": [], "budgets": []}


def _keep(document: dict[str, Any], path: Path, table: str, keys: tuple[str, ...], row: dict[str, Any]) -> None:
    document[table] = [each for each in document[table] if any(each[key] != row[key] for key in keys)] + [row]
    document["goals"] = goals(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
