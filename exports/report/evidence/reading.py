"""``evidence.json`` of a run, which may come from anywhere: what is not as it should be is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exports.metric import ACCURACY, DecidingMetric
from exports.report.numbers import as_mapping, as_number
from snas_nni.files import parse_json, read_bounded

__all__ = ["EVIDENCE_FILE", "Evidence", "Reached", "Share", "Split", "read_evidence"]

EVIDENCE_FILE = "evidence.json"
MOST_BYTES = 2**23
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Reached:
    """What a child reaches.

    Attributes:
        value: of the metric that decides; an accuracy in [0, 1], say.
        interval: 95 % interval; None where it is not known.
        cost: of the child; None where it is not known.
    """

    value: float
    interval: tuple[float, float] | None = None
    cost: float | None = None

    @classmethod
    def of(cls, document: object, cost: str = "params", metric: DecidingMetric = ACCURACY) -> Reached | None:
        """Read the metric, ``interval`` and ``cost`` of a document; None without a value, or a share beyond [0, 1]."""
        given = as_mapping(document)
        value = as_number(given.get(metric.name))
        if value is None or (metric.percent and not 0 <= value <= 1):
            return None
        return cls(value, _interval(given.get("interval")), as_number(given.get(cost)))


@dataclass(frozen=True)
class Share:
    """Right answers among the examples of one class: ``predicted`` is how many were taken for it, right or wrong."""

    right: int
    count: int
    predicted: int | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Split:
    """One held-out split.

    Attributes:
        whole: of all classes.
        classes: in label order.
        confused: ``(label, taken for, count)`` of wrong answers, the most frequent first.
        complete: whether ``confused`` are all.
    """

    whole: Share
    classes: tuple[Share, ...] = ()
    confused: tuple[tuple[int, int, int], ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class Evidence:
    """All of the file.

    Attributes:
        class_names: in label order.
        splits: by name.
        moment: when the random children were judged, ``settling`` or ``end``.
        child: what the chosen one reached at that moment.
        random: what children of chance reached then.
    """

    class_names: tuple[str, ...] = ()
    splits: Mapping[str, Split] = field(default_factory=dict)
    moment: str = ""
    child: Reached | None = None
    random: tuple[Reached, ...] = ()


def read_evidence(path: Path) -> Evidence:
    """Read the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a JSON object, or too large.
    """
    document = parse_json(read_bounded(path, MOST_BYTES))
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    names = document.get("class_names")
    random = as_mapping(document.get("random"))
    splits = {name: _split(as_mapping(value)) for name, value in as_mapping(document.get("splits")).items()}
    return Evidence(
        class_names=tuple(map(str, names[:MOST_CLASSES])) if isinstance(names, list) else (),
        splits={name: split for name, split in splits.items() if split is not None},
        moment=str(random.get("moment", "")),
        child=Reached.of(random.get("child")),
        random=tuple(each for each in map(Reached.of, _list(random.get("children"))) if each is not None),
    )


def _split(document: Mapping[str, Any]) -> Split | None:
    whole = _share(document)
    if whole is None or whole.count == 0:
        return None
    classes = [_share(as_mapping(each)) for each in _list(document.get("classes"))]
    shares = tuple(each for each in classes if each is not None)
    if len(shares) < len(classes):
        return Split(whole)
    pairs = [tuple(map(_count, _list(each))) for each in _list(document.get("confused"))]
    confused = tuple((a, b, n) for a, b, n in _whole_pairs(pairs) if max(a, b) < len(shares))
    complete = document.get("complete") is True and len(confused) == len(pairs)
    return Split(whole, shares, confused, complete)


def _whole_pairs(pairs: list[tuple[int | None, ...]]) -> list[tuple[int, int, int]]:
    found = []
    for pair in pairs:
        numbers = [number for number in pair if number is not None]
        if len(pair) == len(numbers) == 3:
            found.append((numbers[0], numbers[1], numbers[2]))
    return found


def _share(document: Mapping[str, Any]) -> Share | None:
    right, count = _count(document.get("right")), _count(document.get("count"))
    if right is None or count is None or right > count:
        return None
    return Share(right, count, _count(document.get("predicted")), _interval(document.get("interval")))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 10**15 else None


def _interval(value: object) -> tuple[float, float] | None:
    numbers = [as_number(each) for each in _list(value)]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or not 0 <= numbers[0] <= numbers[1] <= 1:
        return None
    return numbers[0], numbers[1]


def _list(value: object) -> list[Any]:
    return value[:MOST_CLASSES] if isinstance(value, list) else []
