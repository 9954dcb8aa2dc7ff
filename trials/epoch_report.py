"""One line for each epoch of a search, and the same numbers to the tuner."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback

from trials.nni_trial import NniTrial
from trials.progress import Progress, readable_duration

__all__ = ["EpochReport", "epoch_line"]


class EpochReport(Callback):
    """Reports how the search stands after each epoch.

    Args:
        progress: prints the lines.
        trial: told each epoch's child accuracy; None outside an experiment.
    """

    def __init__(self, progress: Progress, trial: NniTrial | None = None) -> None:
        self._progress = progress
        self._trial = trial
        self._start = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock; a resumed search does not start at epoch 0."""
        self._start = time.monotonic()
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Print and report. Lightning validates before this hook, so the metrics are the epoch's own."""
        # Asked by every process: what is a mean over several devices is computed here.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not trainer.is_global_zero:
            return
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        elapsed = time.monotonic() - self._start
        left = elapsed / (done - self._first_epoch) * (total - done)
        self._progress.say(epoch_line(done, total, metrics, left))
        if self._trial is not None and "val_acc" in metrics:
            self._trial.report_intermediate(
                {
                    "default": metrics["val_acc"],
                    "epoch": done,
                    "epochs": total,
                    **{
                        name.removeprefix("search/").replace("/", "_"): metrics[name]
                        for name in ("sampled/val_acc", "search/temperature", "search/entropy")
                        if name in metrics
                    },
                }
            )


def epoch_line(done: int, total: int, metrics: Mapping[str, float], seconds_left: float) -> str:
    """Write one epoch as one line; what was not measured is left out."""
    parts = [f"epoch {done:>{len(str(total))}}/{total}"]
    for label, name, form in (
        ("temperature", "search/temperature", "{:.3f}"),
        ("entropy", "search/entropy", "{:.2f}"),
        ("train", "train_acc", "{:.1%}"),
        ("sampled", "sampled/val_acc", "{:.1%}"),
        ("child", "val_acc", "{:.1%}"),
    ):
        if name in metrics:
            parts.append(f"{label} {form.format(metrics[name])}")
    parts.append(f"{readable_duration(seconds_left)} left")
    return "  ".join(parts)
