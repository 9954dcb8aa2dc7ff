"""One search killed again and again at random moments, against the same search left alone.

python -m benchmarks.faults.kills [KILLS]
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.faults.comparison import differences
from trials.state.checkpoint_files import checkpoints_in

__all__ = ["run"]

SETTINGS = (
    "--space.init_args.channels=4 --space.init_args.cells=2 --space.init_args.nodes=2 --search.epochs=8 "
    "--search.batch_size=64 --search.logits_learning_rate=0.02 --search.temperature_interval=step "
    "--resources.penalty=mild --resources.max_params=3000 --data.workers=1 --checkpoint.every_steps=3 "
    "--accelerator=cpu --seed=3"
)
_PATIENCE = 900.0


def run(kills: int = 20, seed: int = 20190430) -> dict[str, Any]:
    """Kill one search that often with SIGKILL, resume it each time, and compare its end with the uninterrupted one.

    Every fifth kill hits the start: the program being loaded, the data being read.

    Returns:
        ``tried``; ``bit_equal``, which is ``tried`` when the result is equal in everything, else 0; ``differences``;
        ``searches``, how many were needed for so many kills; ``moments``, where each kill found the search.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = time.monotonic()
        _finish(_start(folder / "whole", resume=False))
        # Without the start, which every process has: so that the kills are spread over the search's steps.
        length = max(2.0, _training_seconds(folder / "whole"))
        print(f"uninterrupted: {time.monotonic() - start:.0f} s, {length:.0f} s of them training", file=sys.stderr)
        moments: list[str] = []
        different: list[str] = []
        searches = bit_equal = 0
        while len(moments) < kills:
            searches += 1
            cut = folder / f"cut-{searches}"
            here = _killed_until_done(cut, kills - len(moments), length, chance)
            moments += here
            found = differences(folder / "whole", cut)
            different += found
            bit_equal += len(here) if not found else 0
        return {
            "tried": len(moments),
            "bit_equal": bit_equal,
            "searches": searches,
            "differences": different,
            "moments": moments,
        }


def _killed_until_done(output: Path, kills: int, length: float, chance: random.Random) -> list[str]:
    """Kill a search up to ``kills`` times, then let it end; return where each kill found it."""
    moments: list[str] = []
    while len(moments) < kills:
        process = _start(output, resume=(output / "settings.yml").exists())
        if len(moments) % 5 == 0:
            time.sleep(chance.uniform(0.5, 6.0))
        else:
            _wait_for_work(process)
            time.sleep(chance.uniform(0.0, 2.4 * length / kills))
        if process.poll() is not None:
            _finish(process)
            return moments
        process.send_signal(signal.SIGKILL)
        process.communicate()
        moments.append(_state(output))
        print(f"kill {len(moments)}: {moments[-1]}", file=sys.stderr)
    if not (output / "summary.json").exists():
        _finish(_start(output, resume=(output / "settings.yml").exists()))
    return moments


def _start(output: Path, resume: bool) -> subprocess.Popen[str]:
    words = [f"--resume={output}"] if resume else [*SETTINGS.split(), f"--output={output}"]
    return subprocess.Popen(
        [sys.executable, "-m", "trials.cli", "search", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_work(process: subprocess.Popen[str]) -> None:
    """Wait until the data is there, which is said just before the first step."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("data:"):
            return


def _finish(process: subprocess.Popen[str]) -> None:
    output, errors = process.communicate(timeout=_PATIENCE)
    if process.returncode != 0:
        raise RuntimeError(f"a search that nobody killed ended with {process.returncode}:\n{output}{errors}")


def _training_seconds(output: Path) -> float:
    """Return how long the training took, by the clock of the checkpoint that was written at its end."""
    return checkpoints_in(output)[-1].stat().st_mtime - (output / "settings.yml").stat().st_mtime


def _state(output: Path) -> str:
    files = checkpoints_in(output)
    done = files[-1].stem if files else "no checkpoint yet"
    return done + (", results written" if (output / "summary.json").exists() else "")


if __name__ == "__main__":
    result = run(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print(json.dumps(result, indent=2))
    sys.exit(result["bit_equal"] != result["tried"])
