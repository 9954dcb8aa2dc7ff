"""The child of a shrinking beside the network that it was made from, as the page shows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exports.metric import DecidingMetric
from exports.report.numbers import as_mapping, as_number, compact, of_metric, percent
from snas_nni.resources import COSTS

__all__ = ["COMPARISON_FILE", "ComparisonRow", "comparison_rows"]

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True)
class ComparisonRow:
    """One quantity of both networks.

    Attributes:
        name: of the quantity.
        original: of the given network, as text.
        child: of the child.
        share: the child's of the original's; empty where that says nothing.
    """

    name: str
    original: str
    child: str
    share: str = ""


def comparison_rows(document: Mapping[str, Any], metric: DecidingMetric) -> list[ComparisonRow]:
    """Return the rows of a comparison, what was measured on the test split first; none if there is no comparison.

    Args:
        document: of ``comparison.json``; values that are no numbers are left out.
        metric: that decides.
    """
    original, child = (as_mapping(document.get(name)) for name in ("original", "child"))
    rows = [_measured(metric, original, child), *(_cost(name, original, child) for name in COSTS)]
    rows.append(_number("bytes of the ONNX file", original.get("onnx_bytes"), child.get("onnx_bytes"), compact))
    rows.append(_number("one input in ONNX Runtime", original.get("onnx_ms"), child.get("onnx_ms"), _milliseconds))
    return [row for row in rows if row is not None]


def _measured(metric: DecidingMetric, original: Mapping[str, Any], child: Mapping[str, Any]) -> ComparisonRow | None:
    found = []
    for each in (original, child):
        test = as_mapping(each.get("test"))
        top1 = as_mapping(test.get("top1"))
        value = as_number(top1.get("share") if top1 else test.get(metric.name))
        if value is None:
            return None
        interval = top1.get("interval95")
        ends = [as_number(end) for end in interval] if isinstance(interval, list) else []
        low, high = ends if len(ends) == 2 else (None, None)
        text = of_metric(metric, value)
        found.append(text if low is None or high is None else f"{text} ({percent(low)} to {percent(high)})")
    return ComparisonRow(f"test {metric.title}", *found)


def _cost(name: str, original: Mapping[str, Any], child: Mapping[str, Any]) -> ComparisonRow | None:
    before, after = (as_mapping(each.get("costs")).get(name) for each in (original, child))
    info = COSTS[name]
    unit = f" {info.unit}" if info.unit else ""
    return _number(info.title, before, after, lambda value: f"{compact(value)}{unit}")


def _number(name: str, before: Any, after: Any, text: Callable[[float], str]) -> ComparisonRow | None:
    first, second = as_number(before), as_number(after)
    if first is None or second is None:
        return None
    return ComparisonRow(name, text(first), text(second), percent(second / first) if first > 0 else "")


def _milliseconds(value: float) -> str:
    return f"{value:.3f} ms"
