"""Means and deviations over seeds, and tables of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from trials.bench.rows import Row
from trials.bench.settings import METHODS

__all__ = ["by_method", "in_order", "markdown_table", "mean_and_deviation"]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by method, SNAS first, and seed, whichever finished first."""
    return sorted(rows, key=lambda row: (METHODS.index(row["method"]), row["seed"]))


def by_method(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by method, in the order of their first row."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    return groups


def mean_and_deviation(rows: Sequence[Row], key: str, form: Callable[[float], str]) -> str:
    """Write ``mean ± standard deviation`` (of a sample; none for one row); a dash where nothing was measured."""
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return "-"
    mean = form(statistics.mean(values))
    return f"{mean} ± {form(statistics.stdev(values))}" if len(values) > 1 else mean


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
