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
    table: dict[str, float] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SettingError(f"table: {path} has no column {' and '.join(missing)}")
            for row in reader:
                value = float(row["cifar10_test"])
                if not 0 <= value <= 100:
                    raise SettingError(f"table: {path}, line {reader.line_num}: accuracy {value} is no percentage")
                table[row["arch"]] = value
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SettingError(f"table: cannot read {path}: {error}") from error
    except (ValueError, TypeError) as error:
        raise SettingError(f"table: {path}, line {reader.line_num}: no number in cifar10_test") from error
    return table
