"""The measurements: children exported once, timed by each clock, and what a table made of them predicts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.openvino_timer import openvino_timer
from benchmarks.latency.spaces import IMAGES, SPACES
from exports.latency.clock import DEFAULTS, device_of, measure, onnxruntime_timer, runtime_of, timing_of
from exports.latency.graphs import write_graph
from snas_nni import SNAS, LatencyTable, derive_child, measure_latency
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.resources.latency import MeasurementPlan, calibration_of, plan_measurements

__all__ = ["CLOCKS", "HELD_OUT", "compared", "export", "planned", "table_of", "tables_in_pytorch", "timed"]

HELD_OUT = 40
PASSES = {"OpenVINO, 1 thread, batch 1": 6}
"""Of a clock whose passes differ more than those of the others, which have 3."""
CLOCKS: dict[str, Callable[[], Callable[[str], Sequence[float]]]] = {
    "ONNX Runtime, 1 thread, batch 1": lambda: onnxruntime_timer(DEFAULTS),
    "ONNX Runtime, 2 threads, batch 8": lambda: onnxruntime_timer({**DEFAULTS, "threads": 2, "batch": 8}),
    "OpenVINO, 1 thread, batch 1": openvino_timer,
}
"""What times files, by its name."""


@cache
def planned(space: str) -> tuple[SNAS, Any, MeasurementPlan]:
    """The strategy, the supernet and the children of a space; always the same ones."""
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(SPACES[space]())
    plan = plan_measurements(supernet, strategy.distribution, IMAGES[:1], held_out=HELD_OUT)
    return strategy, supernet, plan


def export(space: str, work: Path) -> None:
    """Write the children of a space as files that are not there yet: the held-out ones as they would be deployed.

    The seconds for the children that a table is made of go to ``export.json``.
    """
    _, supernet, plan = planned(space)
    folder = work / space
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    due = [number for number in range(len(plan.fitted)) if not _file(folder, number).is_file()]
    for number in due:
        write_graph(derive_child(supernet, plan.samples[number]).eval(), _file(folder, number), IMAGES)
    if len(due) == len(plan.fitted):  # of an export that was cut the time is not known
        (folder / "export.json").write_text(json.dumps({"seconds": time.monotonic() - start}))
    left = [number for number in range(len(plan.fitted), len(plan.samples)) if not _file(folder, number).is_file()]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_export_exactly, [space] * len(left), [str(_file(folder, number)) for number in left], left))


def _export_exactly(space: str, path: str, number: int) -> None:
    import torch

    torch.set_num_threads(1)
    _, supernet, plan = planned(space)
    write_graph(derive_child(supernet, plan.samples[number]).eval(), Path(path), IMAGES, exact=True)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.onnx"


def timed(space: str, clock: str, work: Path) -> list[dict[str, Any]]:
    """The timing of each child by a clock; measured where it is not yet, after the last pass of one that was cut."""
    _, _, plan = planned(space)
    folder = work / space
    path = folder / f"{list(CLOCKS).index(clock)}.json"
    before = json.loads(path.read_text()) if path.is_file() else {"runs": {}, "seconds": 0.0}
    files = [_file(folder, number) for number in range(len(plan.samples))]
    known = {str(folder / name): passes for name, passes in before["runs"].items()}
    start = time.monotonic()

    def keep(_: int, runs: Mapping[str, Sequence[Sequence[float]]]) -> None:
        seconds = before["seconds"] + time.monotonic() - start
        path.write_text(json.dumps({"seconds": seconds, "runs": {Path(k).name: v for k, v in runs.items()}}))

    passes = PASSES.get(clock, 3)
    if min(map(len, known.values()), default=0) < passes or len(known) < len(files):
        known = measure(files, CLOCKS[clock](), passes=passes, known=known, after_pass=keep)
    return [timing_of(known[str(file)]) for file in files]


def table_of(space: str, clock: str, work: Path) -> LatencyTable:
    """The table of a space by a clock that was asked already."""
    _, _, plan = planned(space)
    milliseconds = [each["milliseconds"] for each in timed(space, clock, work)]
    return plan.table(milliseconds, device_of(), runtime_of(DEFAULTS))


def compared(space: str, clock: str, work: Path) -> dict[str, Any]:
    """Put what a table predicts beside what was measured on the children that it was not fitted to."""
    _, _, plan = planned(space)
    timings = timed(space, clock, work)
    count = len(plan.fitted)
    start = time.monotonic()
    table = plan.table([each["milliseconds"] for each in timings])
    fit_seconds = time.monotonic() - start
    predicted = _predicted(table, plan)
    measured = [each["milliseconds"] for each in timings[count:]]
    exported = work / space / "export.json"
    return {
        "space": space,
        "clock": clock,
        "fitted": count,
        "terms": len(Polynomial.sum(table.parts.values()).terms),
        **calibration_of(predicted, measured).as_document(),
        "p50_ms": float(np.median([each["p50"] for each in timings])),
        "p90_ms": float(np.quantile([each["p50"] for each in timings], 0.9)),
        "spread": float(np.median([each["spread"] for each in timings])),
        "disturbed_passes": sum(each["disturbed"] for each in timings),
        "export_seconds": json.loads(exported.read_text())["seconds"] if exported.is_file() else None,
        "timing_seconds": json.loads((work / space / f"{list(CLOCKS).index(clock)}.json").read_text())["seconds"],
        "fit_seconds": fit_seconds,
        "predicted": predicted,
        "measured": measured,
    }


def tables_in_pytorch(space: str, work: Path) -> dict[str, Any]:
    """The same for the table that PyTorch's own clock gives, against the children in ONNX Runtime."""
    strategy, supernet, plan = planned(space)
    start = time.monotonic()
    table = measure_latency(supernet, strategy.distribution, IMAGES[:1])
    seconds = time.monotonic() - start
    timings = timed(space, next(iter(CLOCKS)), work)
    measured = [each["milliseconds"] for each in timings[len(plan.fitted) :]]
    found = calibration_of(_predicted(table, plan), measured).as_document()
    return {"space": space, "seconds": seconds, **found}


def _predicted(table: LatencyTable, plan: MeasurementPlan) -> list[float]:
    total = Polynomial.sum(table.parts.values())
    return [total.value(plan.costs.indices(sample)) for sample in plan.held_out]
