"""What is read from the machine while a network trains: seconds per batch, and memory above the start."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

__all__ = ["BatchTimer", "MemoryPeak"]


class MemoryPeak:
    """The largest resident set of this process since :meth:`start`, in MiB above what it was then (Linux)."""

    def start(self) -> None:
        """Forget what the process needed so far."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
        self._before = _status("VmRSS")

    def above_start(self) -> float:
        """MiB."""
        return _status("VmHWM") - self._before


def _status(field: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {field}: memory is measured on Linux only.")
    return int(found.group(1)) / 1024


class BatchTimer(pl.Callback):
    """Seconds of each training batch by epoch.

    Attributes:
        steps: from the start of a batch to its end: forward, backward, both optimisers.
        intervals: from the end of a batch to the end of the next one of the epoch: the loop around it too.
    """

    def __init__(self) -> None:
        self.steps: list[list[float]] = []
        self.intervals: list[list[float]] = []
        self.memory = MemoryPeak()

    def on_train_start(self, *_: Any) -> None:  # noqa: D102
        self.memory.start()

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: D102
        self.steps.append([])
        self.intervals.append([])
        self._last_end: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:  # noqa: D102
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: D102
        end = time.perf_counter()
        self.steps[-1].append(end - self._start)
        if self._last_end is not None:
            self.intervals[-1].append(end - self._last_end)
        self._last_end = end

    def result(self) -> dict[str, Any]:
        """Everything measured, for JSON."""
        return {"steps": self.steps, "intervals": self.intervals, "memory_mib": self.memory.above_start()}
