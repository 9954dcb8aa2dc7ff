"""``python -m benchmarks.speed``: measure, and write ``docs/results/speed.json``, ``.md`` and ``.png``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from benchmarks.speed.figure import draw
from benchmarks.speed.plan import PARTS, plan
from benchmarks.speed.runner import ROOT, machine, run_all
from benchmarks.speed.summary import summarise
from benchmarks.speed.table import goals, page
from snas_nni.files import write_atomically


def main() -> int:
    """Run the parts that were asked for; the status is 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them if none is named")
    parser.add_argument("--keep", action="store_true", help="keep the other parts' runs that the output folder has")
    parser.add_argument("--quick", action="store_true", help="few steps, once, on small batches: shows that it runs")
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--batch", type=int, default=32, help="images of a batch")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results", help="folder of the results")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    parts = tuple(part for part in PARTS if part in arguments.parts) or PARTS
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "speed.json"
    report: dict[str, Any] = {
        "command": "python -m benchmarks.speed " + shlex.join(sys.argv[1:]),
        "machine": {**machine(), "threads": arguments.threads, "batch": arguments.batch},
    }

    kept: list[dict[str, Any]] = []
    if arguments.keep and path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        kept = [run for run in earlier["runs"] if run["part"] not in parts]
        report["command"] = f"{earlier['command']}; {report['command']}"

    def save(new: list[dict[str, Any]]) -> None:
        runs = [*kept, *new]
        report.update(summarise(runs), runs=runs)
        report["goals"] = goals(report)
        write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())  # a cut leaves the last whole report

    run_all(plan(parts, batch=arguments.batch, threads=arguments.threads, quick=arguments.quick), save)
    text = page(report)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    if any(run["part"] in ("schedule", "gradient_error") for run in report["runs"]):
        draw(report, path.with_suffix(".png"))
    print(text)
    return 1 if any("failure" in run for run in report["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main())
