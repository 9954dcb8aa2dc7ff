"""Does a long search keep its memory and its pace? Two thousand steps with everything on that a search writes.

    python -m benchmarks.soak [STEPS]

Trains on the bundled handwritten digits with metrics.csv, TensorBoard, the epoch lines and a checkpoint after each
epoch. No candidate is skipped for being small (``skip_tolerance`` 0), because a search that skips gets faster as its
temperature falls, which would hide a step that gets slower. At the lowest temperatures some weights are exactly zero in
float32, and such candidates do not run, so the last steps are faster all the same. Slopes are Theil and Sen's, medians
over pairs: neither that nor a pause of the machine moves them much.
"""

from __future__ import annotations

import gc
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import psutil
import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning import Callback
from scipy.stats import theilslopes

from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data
from trials.progress import Progress
from trials.runs.components import make_space, make_strategy
from trials.settings.search import ResourceSettings, RunSettings, SearchSettings, SpaceSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.training.callbacks import EpochReport
from trials.training.modules import training_module
from trials.training.trainer import make_trainer, quieten_libraries

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["run"]

RESULTS = Path(__file__).parents[1] / "docs" / "results"
WARM_UP = 300  # steps
MEMORY_LIMIT = 5.0  # MiB in a thousand steps
TIME_LIMIT = 3.0  # % of a step in a thousand steps


class Meter(Callback):
    """Seconds of each step, and memory of the process after it.

    Attributes:
        seconds: one for each step.
        mebibytes: resident memory, one for each step.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.mebibytes: list[float] = []
        self._process = psutil.Process()
        self._start = 0.0

    def on_train_batch_start(self, *arguments: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Read clock and memory."""
        self.seconds.append(time.perf_counter() - self._start)
        self.mebibytes.append(self._process.memory_info().rss / 2**20)


def run(steps: int = 2000) -> dict[str, Any]:
    """Search for ``steps`` steps, rounded up to whole epochs, and return the document that is written."""
    torch.set_num_threads(1)
    quieten_libraries()
    settings = RunSettings(
        space=SpaceSettings(init_args={"channels": 4, "cells": 3, "nodes": 2}),
        search=SearchSettings(epochs=1, batch_size=64, logits_learning_rate=0.05, skip_tolerance=0.0),
        resources=ResourceSettings(penalty="mild"),
        seed=1,
        accelerator="cpu",
    )
    progress = Progress(quiet=True)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    data = load_data(settings.data, progress)
    loader = training_loader(data, settings.search.batch_size, settings.seed)
    epochs = -(-steps // len(loader))
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        callbacks = [meter, EpochReport(progress), Checkpoints(output)]
        trainer = make_trainer(Trainer, settings, output, 0, callbacks, max_epochs=epochs)
        evaluator = Lightning(
            training_module(data, settings.training),
            trainer,
            train_dataloaders=loader,
            val_dataloaders=evaluation_loader(data, data.validation),
        )
        space = RawFormatModelSpace(make_space(settings.space, data), evaluator)
        gc.collect()
        make_strategy(settings)(space, SequentialExecutionEngine())
        rows = len((output / "metrics.csv").read_text().splitlines()) - 1
        events = sum(path.stat().st_size for path in (output / "tensorboard").glob("events*"))
    return {**judged(meter.seconds, meter.mebibytes), "epochs": epochs, "csv_rows": rows, "tensorboard_bytes": events}


def judged(seconds: list[float], mebibytes: list[float], warm_up: int = WARM_UP) -> dict[str, Any]:
    """Fit both slopes after the warm-up.

    Args:
        seconds: of each step.
        mebibytes: after each step.
        warm_up: steps that do not count.

    Returns:
        ``memory_slope`` in MiB and ``time_slope`` in percent of the median step, each in a thousand steps with its 95 %
        interval; ``flat``, whether both upper ends are within the limits; the curves, averaged over tens.
    """
    x = np.arange(len(seconds))[warm_up:] / 1000
    memory = theilslopes(np.asarray(mebibytes)[warm_up:], x)
    median = float(np.median(seconds[warm_up:]))
    pace = theilslopes(100 * np.asarray(seconds)[warm_up:] / median, x)
    goals = [
        {
            "name": f"slope of {what} in a thousand steps, upper end of its 95 % interval",
            "wanted": f"at most {limit:g} {unit}",
            "measured": f"{slope[3]:+.3f} {unit}",
            "met": bool(slope[3] <= limit),
        }
        for what, slope, limit, unit in (("memory", memory, MEMORY_LIMIT, "MiB"), ("a step", pace, TIME_LIMIT, "%"))
    ]
    return {
        "goals": goals,
        "steps": len(seconds),
        "warm_up": warm_up,
        "memory_mib": {"after_warm_up": mebibytes[warm_up], "end": mebibytes[-1], "peak": max(mebibytes)},
        "memory_slope": {"mib_per_1000_steps": memory[0], "low": memory[2], "high": memory[3], "limit": MEMORY_LIMIT},
        "step_ms": 1000 * median,
        "time_slope": {"percent_per_1000_steps": pace[0], "low": pace[2], "high": pace[3], "limit": TIME_LIMIT},
        "flat": all(goal["met"] for goal in goals),
        "curves": {"step_ms": tens(1000 * np.asarray(seconds)), "mib": tens(np.asarray(mebibytes))},
    }


def tens(values: Any) -> list[float]:
    """Return the medians of ten neighbours each, rounded; a rest is left out."""
    whole = len(values) // 10 * 10
    return [round(float(value), 3) for value in np.median(np.reshape(values[:whole], (-1, 10)), axis=1)]


def page(document: dict[str, Any]) -> str:
    """Return the Markdown page."""
    memory, pace, sizes = document["memory_slope"], document["time_slope"], document["memory_mib"]
    memory_range = f"{memory['low']:+.3f} to {memory['high']:+.3f}"
    pace_range = f"{pace['low']:+.2f} to {pace['high']:+.2f}"
    slower = pace["percent_per_1000_steps"]
    size = f"{sizes['after_warm_up']:.1f} MiB after warm-up, {sizes['end']:.1f} MiB at the end"
    return f"""# Does a long search keep its memory and its pace?

`{document["command"]}`: {document["steps"]} steps in {document["epochs"]} epochs on the handwritten digits, with
metrics.csv ({document["csv_rows"]} rows), TensorBoard, an epoch line, validation and a checkpoint after each epoch, and
no candidate skipped for being small. The first {document["warm_up"]} steps are warm-up. Slopes are Theil-Sen's with
95 % intervals. The last steps may be faster: at the lowest temperatures some weights are exactly zero in float32, and
such candidates do not run.

| | value | slope in 1000 steps | 95 % interval | limit |
|---|---|---|---|---|
| memory | {size} | {memory["mib_per_1000_steps"]:+.3f} MiB | {memory_range} | {memory["limit"]:g} MiB |
| step | {document["step_ms"]:.1f} ms (median) | {slower:+.2f} % | {pace_range} | {pace["limit"]:g} % |

Both are flat within the limits: **{"yes" if document["flat"] else "no"}**.

![memory and step time](soak.png)

{document["machine"]}
"""


def plot(document: dict[str, Any], path: Path) -> None:
    """Draw both curves."""
    figure, axes = pyplot.subplots(2, 1, sharex=True, figsize=(7, 4.5), constrained_layout=True)
    for axis, key, label in zip(axes, ("mib", "step_ms"), ("resident memory (MiB)", "step (ms)"), strict=True):
        values = document["curves"][key]
        axis.plot(np.arange(len(values)) * 10, values, linewidth=1)
        axis.axvline(document["warm_up"], color="grey", linestyle=":", linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(0, 1.15 * max(np.percentile(values, 99), 1e-9))
    axes[1].set_xlabel("step (medians of ten; dotted: end of warm-up)")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(steps: int = 2000) -> int:
    """Run, write docs/results/soak.*, and return 0 if both are flat."""
    document = {"command": "make bench-soak", **run(steps)}
    document["machine"] = (
        f"Python {platform.python_version()}, torch {torch.__version__}, one thread of {psutil.cpu_count()} CPUs, "
        f"{platform.system()} {platform.machine()}."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "soak.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "soak.md").write_text(page(document))
    plot(document, RESULTS / "soak.png")
    print(page(document))
    return 0 if document["flat"] else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
