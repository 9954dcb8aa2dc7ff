"""Thousands of damaged files: each is accepted and survives a round trip, or is refused in one readable line.

python -m benchmarks.faults.inputs [FILES]
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.mutations import ATTACKER_MODULE
from benchmarks.faults.sandbox import Watch

__all__ = ["run"]

SECONDS, MOST_SECONDS = 30, 300  # for one file: of this process's work, and by the clock of a busy machine
GROWTH = 400  # MiB of memory for one file
MESSAGE = 1500  # characters of a refusal


class TooSlowError(BaseException):
    """One file took longer than ``SECONDS``; no reader may catch this."""


def run(files: int = 5000, seed: int = 20190430, kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read that many damaged files.

    Args:
        files: how many, shared equally among the kinds; below 1000 the largest of the known bombs are left out.
        seed: of the damage.
        kinds: names of the kinds to read; all by default.

    Returns:
        ``tried``, ``accepted``, ``refused``, ``tracebacks``; ``by_kind``, the same for each kind; ``problems``, one
        line for each file that was neither accepted nor refused as it should; ``imported`` and ``written_outside``,
        which are empty; ``largest_growth_mib``, of memory for one file; ``seconds``.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _inside(Path(folder)):
        from nni.runtime.config import get_config_file

        from benchmarks.faults.page_readers import page_readers
        from benchmarks.faults.readers import all_readers

        places = Path(folder)
        every = [*all_readers(places), *page_readers(places)]
        readers = [reader for reader in every if not kinds or reader.name in kinds]
        for name in ("registered_algorithms.yml", "training_services.json"):
            get_config_file(name)  # NNI makes it when it is first used in an environment
        watch = Watch(places)
        totals: Counter[str] = Counter()
        by_kind: dict[str, dict[str, int]] = {}
        problems: list[str] = []
        largest = 0.0
        for reader in readers:
            chance = random.Random(f"{seed} {reader.name}")
            contents = [reader.write(document) for document in reader.documents]
            sound = len(contents)
            contents += [bomb for bomb in reader.bombs if files >= 1000 or len(bomb) < 50_000]
            contents += [reader.damaged(chance) for _ in range(max(0, files // len(readers) - len(contents)))]
            counts: Counter[str] = Counter()
            for number, content in enumerate(contents):
                outcome, problem, growth = _read(reader, content, watch)
                if number < sound and outcome != "accepted":
                    problem = problem or "a sound file is refused"
                largest = max(largest, growth)
                counts["tried"] += 1
                counts[outcome] += 1
                if problem:
                    problems.append(f"{reader.name} {number}: {problem}")
            totals.update(counts)
            by_kind[reader.name] = {key: counts[key] for key in ("tried", "accepted", "refused", "tracebacks")}
        hostile = [name for name in sorted({*watch.imported, *sys.modules}) if name.split(".")[0] == ATTACKER_MODULE]
        if (places / "attacked").exists():
            hostile.append("a command of a file was run")
        return {
            **{key: totals[key] for key in ("tried", "accepted", "refused", "tracebacks")},
            "by_kind": by_kind,
            "problems": problems,
            "imported": hostile,
            "written_outside": watch.offences,
            "largest_growth_mib": round(largest, 1),
            "seed": seed,
            "seconds": round(time.monotonic() - start, 1),
        }


def _read(reader: Any, content: bytes, watch: Watch) -> tuple[str, str, float]:
    """Return accepted, refused or tracebacks; what is wrong with it, if something is; and memory in MiB."""
    from snas_nni.errors import SnasError

    path = reader.folder / reader.file
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, problem = "accepted", ""
    printed = io.StringIO()
    try:
        with watch.watching(), _alarm(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            reader.read(path)
    except SnasError as error:
        outcome, problem = "refused", _bad_message(str(error), reader)
    except (Exception, TooSlowError) as error:
        outcome = "tracebacks"
        place = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {str(error)[:200]!r} at {Path(place.filename).name}:{place.lineno}"
    if outcome != "tracebacks" and "Traceback" in printed.getvalue():
        problem = f"printed {printed.getvalue()[-300:]!r}"
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if growth > GROWTH:
        problem = problem or f"took {growth:.0f} MiB"
    return outcome, problem and f"{problem} for {content[:300]!r} ({len(content)} bytes)", growth


def _bad_message(text: str, reader: Any) -> str:
    if not text.isprintable():
        return f"the refusal cannot be printed: {text[:300]!r}"
    if len(text) > MESSAGE:
        return f"the refusal has {len(text)} characters: {text[:300]!r}"
    keys = [str(key) for document in reader.documents for key in document]  # of settings, say: search.epochs
    if reader.file not in text and not any(key in text for key in keys):
        return f"the refusal names no place: {text[:300]!r}"
    return ""


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        raise TooSlowError(f"still reading after {SECONDS if number == signal.SIGPROF else MOST_SECONDS} s")

    before = {number: signal.signal(number, ring) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in ``folder``, where the attacker's module waits to be imported, and with the user's home in it."""
    (folder / f"{ATTACKER_MODULE}.py").write_text("open('attacked', 'w').close()\nSpace = print\n")
    here, home, path = Path.cwd(), os.environ.get("HOME"), list(sys.path)
    os.environ["HOME"] = str(folder)
    sys.path[:] = [entry or str(here) for entry in sys.path] + [str(folder)]
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(here)
        sys.path[:] = path
        if home is not None:
            os.environ["HOME"] = home


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:2]))
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["tracebacks"] or found["problems"] or found["imported"] or found["written_outside"] else 0)
