"""metrics.csv of a run: sparse rows, one number for every epoch and column."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from exports.report.numbers import as_number

__all__ = ["MetricsLog", "Points"]

Points = list[tuple[int, float]]
"""``(epoch, value)``, epochs counted from 1 as people do."""

MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class MetricsLog:
    """What was logged.

    Attributes:
        columns: ``{column: {epoch: value}}``; a value given twice in an epoch is the later one.
        not_finite: columns in which NaN, infinity or more than 1e100 was logged; these values are left out.
    """

    columns: dict[str, dict[int, float]] = field(default_factory=dict)
    not_finite: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> MetricsLog:
        """Read the file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no CSV, or too large.
        """
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"is larger than {MOST_BYTES // 2**20} MiB")
        with path.open(encoding="utf-8", newline="") as stream:
            try:
                return cls._from_rows(csv.DictReader(stream))
            except csv.Error as error:
                raise ValueError(str(error)) from error

    @classmethod
    def _from_rows(cls, rows: Iterable[dict[str, str]]) -> MetricsLog:
        columns: dict[str, dict[int, float]] = {}
        strange: set[str] = set()
        for row in rows:
            epoch = row.get("epoch") or ""
            if not epoch.isdecimal() or len(epoch) > 9:
                continue
            for name, text in row.items():
                if not isinstance(name, str) or not isinstance(text, str) or not text or name == "epoch":
                    continue
                value = as_number(text)
                if value is not None:
                    columns.setdefault(name, {})[int(epoch) + 1] = value
                elif _is_number(text):
                    strange.add(name)
        return cls(columns, frozenset(strange))

    def points(self, column: str) -> Points:
        """Return what a column has, by epoch; empty for a column that is not there."""
        return sorted(self.columns.get(column, {}).items())

    def last(self, column: str) -> float | None:
        """Return the last value of a column."""
        points = self.points(column)
        return points[-1][1] if points else None

    def under(self, prefix: str) -> list[str]:
        """Return the columns that begin with ``prefix``."""
        return [name for name in self.columns if name.startswith(prefix)]

    @property
    def epochs(self) -> list[int]:
        """All epochs with a number."""
        return sorted({epoch for values in self.columns.values() for epoch in values})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
