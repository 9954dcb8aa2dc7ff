"""Runs measurements one after the other, each in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Measurement
from benchmarks.speed.worker import MARK

__all__ = ["machine", "run_all"]

ROOT = Path(__file__).resolve().parents[2]


def run_all(measurements: list[Measurement], on_result: Callable[[list[dict[str, Any]]], None]) -> None:
    """Run them in order; ``on_result`` gets all finished runs after each one. A run that fails is kept as a failure."""
    runs: list[dict[str, Any]] = []
    left, planned, spent = sum(m.seconds for m in measurements), 0.0, 0.0
    for number, measurement in enumerate(measurements, 1):
        pace = spent / planned if planned else 1.0
        print(
            f"[{number}/{len(measurements)}] {measurement.part} {measurement.name} #{measurement.repeat + 1}, "
            f"about {left * pace / 60:.0f} min left",
            flush=True,
        )
        start = time.monotonic()
        outcome = _run(measurement.job)
        seconds = time.monotonic() - start
        runs.append(
            {
                "part": measurement.part,
                "name": measurement.name,
                "repeat": measurement.repeat,
                "job": measurement.job,
                "seconds": seconds,
                "load": os.getloadavg()[0],
                **outcome,
            }
        )
        left, planned, spent = left - measurement.seconds, planned + measurement.seconds, spent + seconds
        on_result(runs)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    threads = {name: str(job["threads"]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.worker", json.dumps(job)],
        cwd=ROOT,
        env={**os.environ, **threads},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not found:
        reason = "\n".join(done.stderr.splitlines()[-5:])
        print(f"  failed with status {done.returncode}:\n{reason}", flush=True)
        return {"failure": reason}
    return {"result": json.loads(found[-1][len(MARK) :])}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    from importlib.metadata import version

    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpu.read_text(encoding="utf-8")) if cpu.exists() else None
    return {
        "processor": model.group(1) if model else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "pytorch-lightning", "nni")},
    }
