"""``python -m benchmarks.time_to_quality``: goes on where it was cut; a timing, so leave the machine alone."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

from benchmarks.time_to_quality.measure import curve
from benchmarks.time_to_quality.page import LEVELS, draw, goals, page
from search_spaces import NasBench201Space, SnasCellSpace, to_arch_string
from snas_nni.files import write_atomically
from trials.bench.lookup import read_table
from trials.bench.settings import METHODS, NasBench201Data, NasBench201Settings, RetentionSettings
from trials.bench.subset import load_part
from trials.data.types import TaskData
from trials.progress import Progress
from trials.training.trainer import quieten_libraries

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
Settings = RetentionSettings | NasBench201Settings


def main(words: list[str] | None = None) -> int:
    """Run what is missing, write the JSON file, the page and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_quality", description=__doc__)
    parser.add_argument("--tasks", default="digits", help="of " + ", ".join(LEVELS))
    parser.add_argument("--data", help="folder of CIFAR-10 images, for nasbench201")
    parser.add_argument("--table", type=Path, help="CSV with arch and cifar10_test: read at the end, for nasbench201")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, help="of a search; the comparisons' own by default")
    parser.add_argument("--candidates", type=int, default=20, help="that RandomOneShot's selection compares")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results", help="folder of the results")
    given = parser.parse_args(words)
    if "nasbench201" in given.tasks and given.data is None:
        parser.error("nasbench201 needs --data")
    quieten_libraries()
    path = given.output / "time_to_quality.json"
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    report["command"] = "python -m benchmarks.time_to_quality " + shlex.join(sys.argv[1:] if words is None else words)
    given.output.mkdir(parents=True, exist_ok=True)
    progress = Progress(False)
    for task in given.tasks.split(","):
        settings, make, data = _task(task, given.data, progress)
        search = settings.search if given.epochs is None else replace(settings.search, epochs=given.epochs)
        for seed in map(int, given.seeds.split(",")):
            for method in given.methods.split(","):
                key = {"task": task, "method": method, "seed": seed}
                if any(key.items() <= row.items() for row in report["rows"]):
                    continue
                progress.say(f"{task}: {method}, seed {seed}")
                named = to_arch_string if task == "nasbench201" else None
                points = curve(method, make, data, search, settings.training, seed, given.candidates, named)
                report["rows"].append({**key, "points": points})
                report["goals"] = goals(report["rows"])
                write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())
    if given.table is not None:
        table = read_table(given.table)
        for point in (point for row in report["rows"] for point in row["points"] if "arch" in point):
            point["table"] = table[point["arch"]]
        report["goals"] = goals(report["rows"])
        write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), page(report).encode())
    draw(report, path.with_suffix(".png"))
    print(page(report))
    return 0


def _task(task: str, folder: str | None, progress: Progress) -> tuple[Settings, Callable[[], ModelSpace], TaskData]:
    if task == "digits":
        settings = RetentionSettings()
        data = load_part(settings, progress)
        shape = {"in_channels": data.input_shape[0], "classes": data.classes}
        return settings, lambda: SnasCellSpace(**settings.space.init_args, **shape), data
    images = NasBench201Settings(data=NasBench201Data(path=folder))
    data = load_part(images, progress)
    shape = {"in_channels": data.input_shape[0], "classes": data.classes}
    return images, lambda: NasBench201Space(channels=16, cells_per_stage=1, **shape), data


if __name__ == "__main__":
    sys.exit(main())
