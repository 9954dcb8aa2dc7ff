"""How long ONNX files take, in ONNX Runtime or by the word of another program.

A copy of this file is the script of a latency kit, so it needs onnxruntime and numpy, and nothing of this project.
Every file is timed in several passes, each in another order: what disturbs the machine for a while then disturbs one
pass of some files, and not all passes of one. In a pass a file is loaded, warmed up and run many times. The pass counts
with a low quantile of these runs, and the file with the mean of the faster half of its passes. Passes far above that
are counted, so that a reader knows whether the machine was quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "DEFAULTS", "FORMAT", "VERSION", "TimerError", "command_timer", "device_of", "main", "measure", "onnxruntime_timer",
    "repeated", "runtime_of", "timing_of",
]  # fmt: skip

FORMAT, VERSION = "snas-nni/latency-measurements", 1
DEFAULTS = {"threads": 1, "batch": 1, "provider": "CPUExecutionProvider", "optimization": "all"}
LEVELS = {
    "all": "ORT_ENABLE_ALL", "extended": "ORT_ENABLE_EXTENDED", "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}  # fmt: skip
QUANTILE = 0.2
DISTURBED = 1.2
"""A pass that many times above what its file counts with was disturbed by other work on the machine."""
SECONDS, RUNS, WARM_UP = 0.1, 60, 3
"""A pass over one file ends after so many seconds or runs, whichever is first, and after three runs at least."""

Timer = Callable[[str], Sequence[float]]
"""Gets the path of a file, returns milliseconds: of one run, or of each of several."""


class TimerError(Exception):
    """A file could not be timed."""


def onnxruntime_timer(settings: Mapping[str, Any]) -> Timer:
    """Return a timer that runs files in ONNX Runtime.

    Args:
        settings: ``threads``, ``batch``, ``provider`` (an execution provider's name), ``optimization`` (of the graph:
            all, extended, basic or disabled).

    Raises:
        TimerError: the installed ONNX Runtime has no such provider; or, when called, a file cannot be run.
    """
    import numpy
    import onnxruntime

    here = onnxruntime.get_available_providers()
    if settings["provider"] not in here:
        raise TimerError(f"ONNX Runtime has no {settings['provider']} here; it has {', '.join(here)}")

    def timer(path: str) -> Sequence[float]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it prints errors that it raises as well
        options.intra_op_num_threads = int(settings["threads"])
        options.inter_op_num_threads = 1
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[settings["optimization"]])
        try:
            session = onnxruntime.InferenceSession(path, options, providers=[settings["provider"]])
            inputs = {}
            for each in session.get_inputs():
                shape = [side if isinstance(side, int) else int(settings["batch"]) for side in each.shape]
                if "float" in each.type:
                    values = numpy.random.default_rng(0).standard_normal(shape)
                    inputs[each.name] = values.astype("float16" if "16" in each.type else "float32")
                else:
                    inputs[each.name] = numpy.zeros(shape, each.type.partition("(")[2].rstrip(")"))
            return repeated(lambda: session.run(None, inputs))
        except Exception as error:
            raise TimerError(f"{path}: ONNX Runtime cannot run it: {error}") from error

    return timer


def repeated(run: Callable[[], object]) -> list[float]:
    """Return the milliseconds of each of many calls, after some that do not count."""
    for _ in range(WARM_UP):
        run()
    found: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(found) < WARM_UP or (len(found) < RUNS and time.perf_counter() < end):
        start = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - start))
    return found


def command_timer(command: str) -> Timer:
    """Return a timer that asks a program.

    Args:
        command: a command line; the file's path is added as its last word, or put in the place of ``{}``. It prints
            milliseconds: one number, or one for each of several runs.

    Raises:
        TimerError: when called, the program fails or prints no positive number.
    """
    words = shlex.split(command)

    def timer(path: str) -> Sequence[float]:
        line = [word.replace("{}", path) for word in words] if "{}" in command else [*words, path]
        try:
            done = subprocess.run(line, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines() or [""]
            raise TimerError(f"{path}: the timer {command!r} failed: {said[-1][:300]}") from error
        found = [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", done.stdout)]
        if not found or min(found) <= 0:
            raise TimerError(f"{path}: the timer {command!r} printed no milliseconds but {done.stdout[:100]!r}")
        return found

    return timer


def measure(
    files: Sequence[str | Path],
    timer: Timer,
    *,
    passes: int = 4,
    seed: int = 0,
    known: Mapping[str, Sequence[Sequence[float]]] | None = None,
    after_pass: Callable[[int, dict[str, list[list[float]]]], None] = lambda number, runs: None,
    after_file: Callable[[], None] = lambda: None,
) -> dict[str, list[list[float]]]:
    """Time files in passes, each in another order.

    Args:
        files: their paths.
        timer: times one.
        passes: how often each is timed, at least 1.
        seed: of the orders.
        known: what an earlier call found that was cut off; its passes are not run again.
        after_pass: is told the number of passes that are done, and what was found until then.
        after_file: is called after each file of each pass.

    Returns:
        By path, for each pass, the milliseconds of its runs.
    """
    runs: dict[str, list[list[float]]] = {str(file): [] for file in files}
    for path, found in (known or {}).items():
        if path in runs:
            runs[path] = [list(each) for each in found]
    generator = random.Random(seed)
    for number in range(passes):
        order = list(runs)
        generator.shuffle(order)
        for path in order:
            if len(runs[path]) <= number:
                runs[path].append([float(each) for each in timer(path)])
            after_file()
        after_pass(number + 1, runs)
    return runs


def timing_of(passes: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return what a file counts with.

    Args:
        passes: milliseconds of the runs of each pass, at least one.

    Returns:
        ``milliseconds``, the mean over the faster half of the passes of a low quantile of each; ``p50`` and ``p90`` of
        all runs; ``spread``, how far the passes of that half lie apart as a share of it; ``disturbed``, how many
        passes lie far above it.
    """
    lows = sorted(quantile(runs, QUANTILE) for runs in passes)
    best = lows[: (len(lows) + 1) // 2]
    milliseconds = statistics.fmean(best)
    every = [run for runs in passes for run in runs]
    return {
        "milliseconds": milliseconds,
        "p50": quantile(every, 0.5),
        "p90": quantile(every, 0.9),
        "spread": (best[-1] - best[0]) / milliseconds,
        "disturbed": sum(low > DISTURBED * milliseconds for low in lows),
    }


def quantile(values: Iterable[float], share: float) -> float:
    """Return a quantile, between the two values that it lies between."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def device_of() -> dict[str, Any]:
    """Describe this machine: what it is, its processor's name, its cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware"))]
        name = named[0] if named else name
    except OSError:
        pass
    return {
        "machine": platform.machine(), "processor": name, "cores": os.cpu_count() or 1, "system": platform.system(),
    }  # fmt: skip


def runtime_of(settings: Mapping[str, Any], command: str | None = None) -> dict[str, Any]:
    """Describe what timed: ONNX Runtime with its version and settings, or another program by its command line."""
    if command is not None:
        return {"runtime": command}
    import onnxruntime

    return {"runtime": "onnxruntime", "version": onnxruntime.__version__, **settings}


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the graphs beside this script, and write one JSON file."""
    parser = argparse.ArgumentParser(description="Time the graphs of this kit on this device.")
    parser.add_argument("--threads", type=int, help="of ONNX Runtime (as the kit was written for)")
    parser.add_argument("--batch", type=int, help="inputs of one run")
    parser.add_argument("--provider", help="execution provider of ONNX Runtime")
    parser.add_argument("--optimization", choices=list(LEVELS), help="of the graph, by ONNX Runtime")
    parser.add_argument(
        "--timer", metavar="COMMAND", help="gets a file as its last word (or for {}), prints milliseconds"
    )
    parser.add_argument("--passes", type=int, default=4, help="how often each graph is timed (4)")
    parser.add_argument("--output", default="latency.json", help="the JSON file to write (latency.json)")
    options = parser.parse_args(arguments)
    folder = Path(__file__).resolve().parent
    kit = json.loads((folder / "kit.json").read_text(encoding="utf-8"))
    settings = {**DEFAULTS, **kit["settings"]}
    settings.update({name: value for name in DEFAULTS if (value := getattr(options, name)) is not None})
    if kit.get("needs_timer") and not options.timer:
        print("error: the graphs are no ONNX files; say with --timer which program runs one", file=sys.stderr)
        return 2
    files = sorted((folder / "graphs").glob("[0-9]*"))
    part = Path(options.output + ".part")  # what is measured so far, should this be cut off
    task = {"settings": settings, "timer": options.timer, "files": [file.name for file in files]}
    known: dict[str, Any] = {}
    if part.is_file():
        before = json.loads(part.read_text(encoding="utf-8"))
        known = before["runs"] if before["task"] == task else {}
    start = time.monotonic()

    def after_pass(number: int, runs: dict[str, list[list[float]]]) -> None:
        part.write_text(json.dumps({"task": task, "runs": runs}), encoding="utf-8")
        left = (time.monotonic() - start) / number * (options.passes - number)
        print(f"pass {number} of {options.passes}, {left:.0f} s left", flush=True)

    try:
        timer = command_timer(options.timer) if options.timer else onnxruntime_timer(settings)
        runs = measure(files, timer, passes=options.passes, known=known, after_pass=after_pass)
    except TimerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on after the last whole pass, which is in {part}", file=sys.stderr)
        return 130
    document = {
        "format": FORMAT, "version": VERSION, "device": device_of(), "measurement": runtime_of(settings, options.timer),
        "files": {Path(path).name: timing_of(passes) for path, passes in runs.items()}, "kit": kit,
    }  # fmt: skip
    Path(options.output).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    part.unlink(missing_ok=True)
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
