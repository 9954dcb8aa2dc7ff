"""Searches with settings at random, each cut at steps at random, against the same searches left alone.

python -m benchmarks.faults.cuts [SEARCHES] [FIRST] [FILE], which keeps each search, so that one that was cut goes on
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.faults.comparison import differences
from benchmarks.faults.drawing import ROOT, Cut, Drawn, draw
from trials.state.checkpoint_files import checkpoints_in, read_checkpoint

__all__ = ["cut_and_compared", "run"]

_PATIENCE = 900.0


def run(count: int = 40, first: int = 0, kept: Path | None = None) -> dict[str, Any]:
    """Draw searches, run each of them whole and cut, and compare.

    Args:
        count: how many.
        first: number of the first one; see :func:`benchmarks.faults.drawing.draw`.
        kept: a file with what is known already, a line for each search; the others are added to it. None for none.

    Returns:
        ``tried``; ``bit_equal``, how many end equal in everything; ``cuts``, how often they were cut; ``searches``,
        the words, cuts and differences of each.
    """
    known = {}
    if kept is not None and kept.is_file():
        known = {each["number"]: each for each in map(json.loads, kept.read_text(encoding="utf-8").splitlines())}
    searches = []
    for number in range(first, first + count):
        drawn = draw(number)
        if number in known and known[number]["words"] == " ".join(drawn.words):
            searches.append(known[number])
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                found = cut_and_compared(drawn, Path(place))
            except Exception as error:  # one that cannot be read is no reason to leave the others out
                found = [f"{type(error).__name__}: {error}"]
        words = " ".join(drawn.words)
        print(f"search {number}: {'equal' if not found else found[:4]}: {words}", file=sys.stderr, flush=True)
        cuts = [f"{signal.Signals(cut.number).name} after {cut.share:.0%}" for cut in drawn.cuts]
        searches.append({"number": number, "words": words, "cuts": cuts, "differences": found})
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(searches[-1]) + "\n")
    return {
        "tried": count,
        "bit_equal": sum(not each["differences"] for each in searches),
        "cuts": sum(len(each["cuts"]) for each in searches),
        "searches": searches,
    }


def cut_and_compared(drawn: Drawn, place: Path) -> list[str]:
    """Run a search that was drawn, whole and cut.

    Args:
        drawn: the search.
        place: an empty folder.

    Returns:
        What differs; nothing for equal ends. A search that ends as it must not is a difference.
    """
    photos, cache = place / "photos", place / "cache"
    _write_photos(photos)
    words = [word.replace("{photos}", str(photos)).replace("{cache}", str(cache)) for word in drawn.words]
    whole, cut = place / "whole", place / "cut"
    code, said = _searched(["search", *words, f"--output={whole}"], drawn.folder, place)
    if code != 0:
        return [f"the search that nobody cut ends with {code}: {said}"]
    steps = read_checkpoint(checkpoints_in(whole)[-1])["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]
    begin, table = ["search", *words, f"--output={cut}"], _latencies(whole)
    for each in drawn.cuts:
        at = max(1, round(each.share * steps["ready"]))
        code, said = _searched(begin, drawn.folder, place, (at, each), table)
        table = {}
        if code == 0:  # an earlier cut came after this step
            return differences(whole, cut)
        if code not in (-each.number, 128 + each.number):
            return [f"cut at step {at} it ends with {code}: {said}"]
        begin = ["search", f"--resume={cut}"]
    code, said = _searched(begin, drawn.folder, place, latencies={})
    if code != 0:
        return [f"resumed it ends with {code}: {said}"]
    return differences(whole, cut)


def _searched(
    words: Sequence[str],
    folder: Path,
    place: Path,
    cut: tuple[int, Cut] | None = None,
    latencies: dict[str, Any] | None = None,
) -> tuple[int | None, str]:
    """Run the command in a process of its own; return its exit code and what it said last.

    Args:
        words: after the command's name.
        folder: where it is given.
        place: for what it says.
        cut: the step and how it is ended there; None to let it end.
        latencies: what is measured in it, as a checkpoint keeps it; empty for a search that must not measure.
    """
    said = place / "said"
    process = _server.Process(target=_search, args=(list(words), folder, said, cut, latencies))
    process.start()
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode, said.read_text(encoding="utf-8")[-2000:] if said.exists() else ""


def _search(
    words: list[str], folder: Path, said: Path, cut: tuple[int, Cut] | None, latencies: dict[str, Any] | None
) -> None:
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # for loader workers, as where a user starts it
    multiprocessing.current_process().daemon = False  # a daemon may have none
    for number in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if number == 1 else os.O_APPEND)), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell may let what it starts ignore some
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    from trials.cli import main

    if cut is not None:
        _cut_at(*cut)
    if latencies is not None:
        _measuring(latencies)
    code = main(words)
    sys.stdout.flush()
    os._exit(code)


def _cut_at(step: int, cut: Cut) -> None:
    """Let this process send itself the signal at the end of its search's step, counted over all of its parts."""
    from trials.state.checkpoint_callback import Checkpoints

    original = Checkpoints.on_train_batch_end

    def ends(self: Any, trainer: Any, *arguments: Any) -> None:
        here = self._batches(trainer) == step
        if here and not cut.saved:
            os.kill(os.getpid(), cut.number)
        original(self, trainer, *arguments)
        if here and cut.saved:
            os.kill(os.getpid(), cut.number)

    Checkpoints.on_train_batch_end = ends  # type: ignore[method-assign]


def _latencies(output: Path) -> dict[str, Any]:
    return dict(read_checkpoint(checkpoints_in(output)[-1])["snas"]["costs"])


def _measuring(latencies: dict[str, Any]) -> None:
    """Let this process measure what another one has measured, as no clock gives the same times twice."""
    from snas_nni.resources import cost_source

    def measured(supernet: Any, distribution: Any, example: Any) -> Any:
        if not latencies:
            raise RuntimeError("a search that goes on measures again")
        found = cost_source.CostSource(supernet, distribution)
        found.load_state_dict(latencies)
        return found.table

    cost_source.measure_latency = measured  # type: ignore[assignment]


def _write_photos(folder: Path) -> None:
    """Write images in three classes that differ in their brightness."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 8)):
        for label, name in enumerate(("cat", "dog", "eel")):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = noise.integers(0, 120, (8, 8, 3)) + 60 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{index}.png")


_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["trials.runs.search", "trials.state.nni_trial"])

if __name__ == "__main__":
    kept = [Path(word).absolute() for word in sys.argv[3:4]]
    os.chdir(ROOT)
    result = run(*(int(word) for word in sys.argv[1:3]), *kept)
    print(json.dumps(result, indent=2))
    sys.exit(result["bit_equal"] != result["tried"])
