"""``python -m benchmarks.gpu``: measure, and write ``docs/results/gpu.json`` and ``gpu.md``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.cases import Case, cases
from benchmarks.gpu.page import page
from benchmarks.gpu.worker import MARK
from benchmarks.speed.runner import ROOT, machine
from snas_nni.files import write_atomically

__all__ = ["main"]

SIZES: dict[str, dict[str, Any]] = {
    "cuda": {"batch": 96, "batches": 23, "size": 32, "arguments": {}},
    "cpu": {"batch": 4, "batches": 2, "size": 8, "arguments": {"channels": 2, "cells": 1, "nodes": 1}},
}
"""The paper's batch; and a dry run's, which shows that it runs."""


def main(words: list[str] | None = None) -> int:
    """Run every case that the machine can; the status is 1 if one failed, 2 if there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=tuple(SIZES), default="cuda", help="cpu: a dry run with tiny sizes")
    parser.add_argument("--devices", type=int, help="that are used together; all of the machine's by default")
    parser.add_argument("--only", default="", metavar="WORD", help="cases that have this in their name")
    parser.add_argument("--output", type=Path, help="folder of the results; docs/results by default, with a GPU")
    arguments = parser.parse_args(words)
    dry = arguments.device == "cpu"
    if not dry and not torch.cuda.is_available():
        print("no GPU is to be seen here. With --device cpu the benchmark shows that it runs.", file=sys.stderr)
        return 2
    folder = arguments.output or (None if dry else ROOT / "docs" / "results")
    devices = arguments.devices or (2 if dry else torch.cuda.device_count())
    about = {} if dry else {"gpus": f"{torch.cuda.device_count()} {torch.cuda.get_device_name()}"}
    report: dict[str, Any] = {
        "command": "python -m benchmarks.gpu " + shlex.join(sys.argv[1:] if words is None else words),
        "machine": {**machine(), **about},
        "runs": [],
    }
    for case in cases(devices, quick=dry):
        if arguments.only in case.name:
            print(case.name, flush=True)
            report["runs"].append(_run(case, {"device": arguments.device, **SIZES[arguments.device]}))
            if folder is not None:
                _write(report, folder)
    print(page(report))
    return 1 if any("failure" in run for run in report["runs"]) else 0


def _run(case: Case, sizes: dict[str, Any]) -> dict[str, Any]:
    job = {**case.job(), **sizes}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu.worker", json.dumps(job)]
    # Tiny tensors: threads would wait for each other.
    env = {**os.environ, **({"OMP_NUM_THREADS": "1"} if sizes["device"] == "cpu" else {})}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not found:
        return {"name": case.name, **job, "failure": "\n".join(done.stderr.splitlines()[-5:])}
    return {"name": case.name, **job, **json.loads(found[-1][len(MARK) :])}


def _write(report: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "gpu.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(folder / "gpu.md", page(report).encode())


if __name__ == "__main__":
    sys.exit(main())
