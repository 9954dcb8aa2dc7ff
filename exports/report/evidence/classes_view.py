"""Right and wrong by class, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from exports.report.evidence.confusion import MOST_CLASSES, confusion_drawing
from exports.report.evidence.reading import Evidence, Share, Split
from exports.report.numbers import percent

__all__ = ["ClassesView", "classes_view"]

SPLITS = {"validation": "validation data, which judged children", "test": "test data, looked at once"}
MOST_ROWS, MOST_PAIRS = 200, 15
Cell = tuple[str, str]
"""What stands in a table's cell, and a number to sort by, which may be empty."""


@dataclass(frozen=True)
class ClassesView:
    """Tables and drawings; ``left_out`` is how many classes have no row.

    Attributes:
        columns: heads of the table, with whether numbers stand below them.
        rows: one for each class.
        left_out: how many classes have no row.
        drawings: ``(what of, confusion matrix)`` of each split that can be drawn.
        pairs: ``(class, taken for, how often)`` where it cannot.
    """

    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    left_out: int
    drawings: list[tuple[str, Markup]]
    pairs: list[tuple[str, str, str]]


def classes_view(evidence: Evidence) -> ClassesView | None:
    """Write and draw; None for a run that left nothing by class."""
    splits = {name: split for name in SPLITS if (split := evidence.splits.get(name)) and split.classes}
    if not splits:
        return None
    count = max(len(split.classes) for split in splits.values())
    splits = {name: split for name, split in splits.items() if len(split.classes) == count}
    names = [*evidence.class_names[:count], *map(str, range(len(evidence.class_names), count))]
    shown = range(min(count, MOST_ROWS))
    drawable = {name: split for name, split in splits.items() if split.complete and count <= MOST_CLASSES}
    last = list(splits.values())[-1]
    return ClassesView(
        columns=[
            ("class", False),
            *((f"{name}{part}", True) for name in splits for part in ("", ": of")),
            *(("precision", True), ("most often taken for", False)),
        ],
        rows=[_row(index, names, list(splits.values())) for index in shown],
        left_out=count - len(shown),
        drawings=[
            (words, Markup(confusion_drawing(drawable[name], names, f"Confusion matrix on {words}")))
            for name, words in SPLITS.items()
            if name in drawable
        ],
        pairs=[]
        if drawable
        else [
            (names[label], names[taken], f"{times} of {last.classes[label].count}")
            for label, taken, times in last.confused[:MOST_PAIRS]
        ],
    )


def _row(index: int, names: Sequence[str], splits: Sequence[Split]) -> list[Cell]:
    cells: list[Cell] = [(names[index], "")]
    for split in splits:
        cells += _accuracy(split.classes[index])
    last = splits[-1]
    share = last.classes[index]
    precision = share.right / share.predicted if share.predicted else None
    cells.append(("", "") if precision is None else (percent(precision), f"{precision:.6f}"))
    taken = next(((other, times) for label, other, times in last.confused if label == index), None)
    cells.append(("", "") if taken is None else (f"{names[taken[0]]} ({taken[1]})", str(taken[1])))
    return cells


def _accuracy(share: Share) -> list[Cell]:
    if not share.count:
        return [("", ""), ("0", "0")]
    value = share.right / share.count
    interval = "" if share.interval is None else f" ({100 * share.interval[0]:.0f} to {100 * share.interval[1]:.0f})"
    return [(f"{percent(value)}{interval}", f"{value:.6f}"), (f"{share.count:,}", str(share.count))]
