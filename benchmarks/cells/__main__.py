"""``python -m benchmarks.cells --data DIR --table FILE``: goes on where it was cut; hours on one core."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.cells.climbing import best_cell, climb
from benchmarks.cells.judge import DEEP, SHALLOW, Judge, drawn_cells, judged
from benchmarks.cells.page import TRUSTED, best_trial, goals, judge_correlation, page
from benchmarks.cells.trials import TRIALS
from search_spaces import NasBench201Space, to_arch_string
from snas_nni.files import write_atomically
from trials.bench.lookup import read_table
from trials.bench.searching import search_with
from trials.bench.settings import NasBench201Data, NasBench201Settings
from trials.bench.subset import load_part
from trials.data.types import TaskData
from trials.progress import Progress
from trials.training.trainer import quieten_libraries

__all__ = ["Protocol", "main"]

PHASES = ("rank", "choose", "confirm", "table")
ROOT = Path(__file__).resolve().parents[2]


class Protocol:
    """The phases, each of which does what is missing.

    Args:
        settings: of the searches.
        path: of the JSON file; the page is written beside it.
        command: that the files name.
        progress: told what is done.
    """

    def __init__(self, settings: NasBench201Settings, path: Path, command: str, progress: Progress) -> None:
        self.settings = settings
        self.path = path
        self.progress = progress
        self.data = load_part(settings, progress)
        self.report: dict[str, Any] = {"ranking": [], "rows": [], "chosen": None}
        self._command = command
        self._read()

    def _read(self) -> None:
        if self.path.exists():
            self.report = json.loads(self.path.read_text(encoding="utf-8"))
        self.report["command"] = self._command

    def _add(self, part: str, row: dict[str, Any]) -> None:
        self._read()  # another run, with other seeds, may have written since
        self.report[part].append(row)
        self.save()

    @cache  # noqa: B019 - a protocol lives as long as the process
    def _images_of(self, judge: Judge) -> TaskData:
        return load_part(replace(self.settings, images=judge.images), self.progress)

    def _judged(self, arch: str, judge: Judge = SHALLOW, seed: int = 0) -> dict[str, Any]:
        found = judged(arch, self._images_of(judge), self.settings, seed, judge)
        self.progress.say(f"  {arch}: {found['held_out']:.2%} held out")
        return found

    def save(self) -> None:
        """Write both files."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.report["goals"] = goals(self.report)
        write_atomically(self.path, (json.dumps(self.report, indent=1) + "\n").encode())
        write_atomically(self.path.with_suffix(".md"), page(self.report).encode())

    def rank(self, table: dict[str, float], count: int, above: float) -> None:
        """Judge cells whose place in the table is known."""
        for judge in (SHALLOW, DEEP):
            known = {row["arch"] for row in self.report["ranking"] if row.get("judge") == judge.in_words}
            for arch in drawn_cells(count, table, above):
                if arch not in known:
                    found = self._judged(arch, judge)
                    self._add("ranking", {"arch": arch, "table": table[arch], **found})

    def search(self, phase: str, trial: str, seed: int) -> None:
        """Search with the settings of a trial, and judge the cell."""
        if any((row["phase"], row["trial"], row["seed"]) == (phase, trial, seed) for row in self.report["rows"]):
            return
        self.progress.say(f"{phase}: {trial}, seed {seed}")
        settings = replace(self.settings, **TRIALS[trial].space)

        def make() -> NasBench201Space:
            return NasBench201Space(
                channels=settings.channels,
                cells_per_stage=settings.cells_per_stage,
                in_channels=self.data.input_shape[0],
                classes=self.data.classes,
                affine=settings.affine,
            )

        search = replace(settings.search, **TRIALS[trial].search)
        start = time.process_time()  # other runs may share the machine
        count = TRIALS[trial].finalists
        found = search_with("snas", make, self.data, search, settings.training, seed, 1, self.progress, count)
        arch = to_arch_string(found.sample)
        finalists: list[dict[str, Any]] = []
        if count > 1:
            for each in map(to_arch_string, found.probable):
                finalists.append({"arch": each, **self._judged(each)})
            arch = best_cell(finalists)["arch"]
        climbed: list[dict[str, Any]] = []
        if TRIALS[trial].climbs:
            climbed = climb(arch, lambda each: self._judged(each, DEEP, seed), TRIALS[trial].climbs, seed)
            arch = best_cell(climbed)["arch"]
        processor_seconds = time.process_time() - start
        self._add(
            "rows",
            {
                "phase": phase,
                "trial": trial,
                "seed": seed,
                "arch": arch,
                "finalists": finalists,
                "climbed": climbed,
                "held_out": found.child_accuracy,
                # Only choosing asks the judge.
                "judged": self._judged(arch)["held_out"] if phase == "choose" else None,
                "images": found.images,
                "seconds": found.seconds,
                "processor_seconds": processor_seconds,
                "entropy": found.entropy,
                "table": None,
            },
        )

    def look_up(self, table: dict[str, float]) -> None:
        """Read the table for what was found; nothing is chosen from then on."""
        for row in self.report["rows"]:
            for each in (row, *row.get("finalists", ()), *row.get("climbed", ())):
                each["table"] = table[each["arch"]]
        self.save()


def main(words: list[str] | None = None) -> int:
    """Run the phases that were asked for, in order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument("--data", required=True, help="folder of CIFAR-10 images, train/CLASS and test/CLASS")
    parser.add_argument("--table", type=Path, required=True, help="CSV with the columns arch and cifar10_test")
    parser.add_argument("--phases", default=",".join(PHASES), help="of " + ", ".join(PHASES))
    parser.add_argument("--trials", default=",".join(TRIALS), help="of " + ", ".join(TRIALS))
    parser.add_argument("--seeds", default="0,1", help="that choose")
    parser.add_argument("--also", default="defaults", help="trials that are run with the confirming seeds too")
    parser.add_argument("--confirm", default="4,5,6,7", help="seeds that confirm, others than those")
    parser.add_argument("--cells", type=int, default=12, help="that the judge is shown on")
    parser.add_argument("--above", type=float, default=92.0, help="percent that these reach in the table")
    parser.add_argument("--images", type=int, default=10_000, help="that a search sees in an epoch")
    parser.add_argument("--held-out", type=int, default=10_000, help="that judge")
    parser.add_argument("--epochs", type=int, default=22, help="of a search")
    parser.add_argument("--warmup", type=int, default=12, help="of these")
    parser.add_argument("--channels", type=int, default=16, help="of the first stage")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "cells.json")
    given = parser.parse_args(words)
    choosing, confirming = ([int(word) for word in text.split(",")] for text in (given.seeds, given.confirm))
    if set(choosing) & set(confirming):
        parser.error("seeds that confirm must not have chosen")
    quieten_libraries()
    settings = NasBench201Settings(
        data=NasBench201Data(path=given.data),
        images=given.images,
        held_out_images=given.held_out,
        channels=given.channels,
    )
    settings = replace(settings, search=replace(settings.search, epochs=given.epochs, warmup_epochs=given.warmup))
    command = "python -m benchmarks.cells " + shlex.join(sys.argv[1:] if words is None else words)
    protocol = Protocol(settings, given.output, command, Progress(False))
    phases, table = given.phases.split(","), read_table(given.table)
    if "rank" in phases:
        protocol.rank(table, given.cells, given.above)
    was_read = any(row["table"] is not None for row in protocol.report["rows"])
    correlation = judge_correlation(protocol.report["ranking"])
    if correlation is not None and correlation < TRUSTED:
        protocol.progress.say(f"the judge's rank correlation is {correlation:.2f}: nothing is chosen by it")
    elif "choose" in phases and not was_read:
        for seed in choosing:
            for trial in given.trials.split(","):
                protocol.search("choose", trial, seed)
        protocol.report["chosen"] = best_trial(protocol.report["rows"])
        protocol.save()
    if "confirm" in phases:
        chosen = protocol.report["chosen"]
        also = given.also.split(",") if given.also else []
        if chosen is None and not also:
            parser.error("nothing was chosen yet, and --also names no trial")
        for seed in confirming:
            for trial in dict.fromkeys([chosen, *also] if chosen else also):
                protocol.search("confirm", trial, seed)
    if "table" in phases:
        protocol.look_up(table)
    print(page(protocol.report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
