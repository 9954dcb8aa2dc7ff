"""metrics.csv: one row for each epoch, part of the checkpoint, so that no row is lost or there twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snas_nni.files import write_atomically

__all__ = ["MetricsTable"]


class MetricsTable:
    """The numbers of each finished epoch.

    Attributes:
        rows: one dictionary for each epoch, with ``epoch`` (counted from 0) and ``step`` (batches so far).
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    @property
    def last(self) -> dict[str, float]:
        """The newest row; empty before the first epoch ended."""
        return self.rows[-1] if self.rows else {}

    def has(self, epoch: int) -> bool:
        """Whether there is a row for ``epoch``."""
        return any(row["epoch"] == epoch for row in self.rows)

    def add(self, epoch: int, step: int, metrics: Mapping[str, Any]) -> None:
        """Append a row."""
        self.rows.append({"epoch": epoch, "step": step, **{name: float(value) for name, value in metrics.items()}})

    def text(self) -> str:
        """Return the table as CSV; columns in the order in which they first appeared."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return stream.getvalue()

    def write(self, path: Path) -> None:
        """Write the table whole.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(path, self.text().encode())

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; later rows are forgotten."""
        self.rows = [dict(row) for row in state["rows"]]
