"""Budgets in milliseconds: does the child that is taken keep them when it is exported and timed?"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.latency.measuring import CLOCKS, table_of
from benchmarks.latency.spaces import IMAGES, SPACES
from exports.latency.clock import DEFAULTS, measure, onnxruntime_timer, timing_of
from exports.latency.graphs import write_graph
from snas_nni import SNAS, Budget, LatencyTable, derive_child
from snas_nni.resources import BudgetController, cost_range
from trials.cli import main

__all__ = ["FRACTIONS", "SEEDS", "child_within", "search_within"]

FRACTIONS = (0.25, 0.5, 0.75)
"""Where the budgets lie between the fastest child and the slowest one, by the table."""
SEEDS = (0, 1)
MOST = 16
"""Children that are timed before a run gives up."""


def child_within(space: str, fraction: float, seed: int, work: Path) -> dict[str, Any]:
    """Take the most probable child within a budget, of a random distribution, as a search does at its end.

    Children that use the budget come first; each is exported as for deployment and timed, and the first within the
    budget is taken.

    Returns:
        The budget, and the predicted and measured milliseconds of the child, and how many children were timed.
    """
    table = table_of(space, next(iter(CLOCKS)), work)
    strategy = SNAS(seed=seed, initial_logits_std=1.0, latency_table=table)
    supernet = strategy.mutate_model(SPACES[space]())
    model = strategy.cost_model(IMAGES[:1])
    low, high = cost_range(model, "latency_ms")
    budget = low + fraction * (high - low)
    controller = BudgetController(Budget(latency_ms=budget, target=True))
    controller.prepare(model)
    key = {"space": space, "fraction": fraction, "seed": seed, "budget_ms": budget}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, sample in enumerate(controller.ranked(strategy.distribution, MOST), 1):
            child = derive_child(supernet, sample).eval()
            file = write_graph(child, Path(folder) / f"{number}.onnx", IMAGES, exact=True)
            measured = timing_of(measure([file], onnxruntime_timer(DEFAULTS))[str(file)])["milliseconds"]
            predicted = model.of(sample)["latency_ms"]
            if measured <= budget:
                return {
                    **key, "predicted_ms": predicted, "measured_ms": measured, "timed": number,
                    "seconds": time.monotonic() - start,
                }  # fmt: skip
    return {**key, "predicted_ms": predicted, "measured_ms": measured, "timed": MOST}


def search_within(fraction: float, work: Path) -> dict[str, Any]:
    """Run ``snas-nni search`` on the handwritten digits with a budget in milliseconds, as a user starts it.

    The first call measures the table with ``snas-nni latency measure``.
    """
    table = work / "digits.json"
    space = ["--set", "in_channels=1", "--set", "classes=10"]
    path = "benchmarks.latency.spaces.WidthSpace"
    start = time.monotonic()
    if not table.is_file():
        main(["latency", "measure", path, *space, "--input-shape", "1,8,8", "--output", str(table), "--quiet"])
    seconds = time.monotonic() - start
    strategy = SNAS(seed=0)
    strategy.mutate_model(SPACES["widths"](in_channels=1))
    loaded = LatencyTable.load(table, strategy.distribution.choices)
    model = strategy.cost_model(IMAGES[:1, :1, :8, :8]).with_costs({"latency_ms": loaded.parts})
    low, high = cost_range(model, "latency_ms")
    budget = low + fraction * (high - low)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        code = main(
            [
                "search", "--space", path, "--search.epochs=6", "--search.batch_size=128", "--quiet",
                f"--resources.max_latency_ms={budget}", "--resources.target=true",
                f"--resources.latency_table={table}", f"--output={output}",
            ]
        )  # fmt: skip
        metrics = {} if code else json.loads((output / "summary.json").read_text(encoding="utf-8"))["metrics"]
    return {
        "space": "widths, a search on digits", "fraction": fraction, "seed": 0, "budget_ms": budget, "exit_code": code,
        "predicted_ms": metrics.get("predicted_latency_ms"), "measured_ms": metrics.get("latency_ms"),
        "table_seconds": seconds,
    }  # fmt: skip
