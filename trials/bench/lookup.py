"""A table of what every architecture of NAS-Bench-201 reaches."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from snas_nni.errors import SettingError

__all__ = ["read_table"]

_COLUMNS = ("arch", "cifar10_test")


def read_table(path: Path) -> dict[str, float]:
    """Read the test accuracy in percent by the benchmark's architecture string.

    Args:
        path: CSV with a header that names at least ``arch`` and ``cifar10_test``; compressed if it ends in ``.gz``.

    Raises:
        SettingError: the file cannot be read, lacks a column, or an accuracy is no number in [0, 100].
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows = list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SettingError(f"table: cannot read {path}: {error}") from error
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise SettingError(f"table: {path} has no column {' and '.join(missing)}")
    return {row["arch"]: _percent(row["cifar10_test"], path, number) for number, row in enumerate(rows, start=1)}


def _percent(text: str | None, path: Path, row: int) -> float:
    try:
        value = float(text or "")
    except ValueError as error:
        raise SettingError(f"table: {path}, row {row}: {text!r} in cifar10_test is no number") from error
    if not 0 <= value <= 100:
        raise SettingError(f"table: {path}, row {row}: {value} in cifar10_test is no percentage")
    return value
