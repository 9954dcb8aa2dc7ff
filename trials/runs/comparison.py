"""Two runs side by side: what they found, and what they were told differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from exports.metric import DecidingMetric
from exports.report.numbers import compact, of_metric, percent, plain_text
from exports.report.run import Run

__all__ = ["Comparison", "compare"]

Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        results: name, both values and the second one's difference from the first, as text; all that both measured.
        settings: dotted key and both values, where they differ.
        choices: label and what both children have, where they differ.
    """

    results: list[Row]
    settings: list[Row]
    choices: list[Row]


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs; a run that was cut off is compared as far as it came."""
    return Comparison(
        list(_results(_numbers(first), _numbers(second), (first.metric, second.metric))),
        list(_differences(dict(_flat(first.settings)), dict(_flat(second.settings)))),
        list(_differences(_sample(first), _sample(second))),
    )


def _numbers(run: Run) -> dict[str, float]:
    found = dict(run.metrics)
    if run.parameters is not None:
        found = {**{name: value for name, value in found.items() if name != "params"}, "parameters": run.parameters}
    return found


def _results(
    first: Mapping[str, float], second: Mapping[str, float], metrics: tuple[DecidingMetric, DecidingMetric]
) -> Iterator[Row]:
    deciding = {name: metric for metric in metrics for name in (metric.test, metric.validation)}
    shown_first = [*dict.fromkeys(each.test for each in metrics), *dict.fromkeys(each.validation for each in metrics)]
    order = [*shown_first, "parameters", "macs", "memory_access"]
    for name in sorted({*first, *second}, key=lambda name: (order.index(name) if name in order else len(order), name)):
        one, other = first.get(name), second.get(name)
        metric = deciding.get(name)
        share = metric.percent if metric is not None else name.endswith(("accuracy", "entropy_share"))
        show = percent if share else compact if metric is None else partial(of_metric, metric)
        difference = ""
        if one is not None and other is not None:
            if share:
                difference = f"{100 * (other - one):+.1f} points"
            elif one != other and one:
                difference = f"{100 * (other - one) / abs(one):+.1f} %"
        yield (
            _in_words(name, metric),
            "" if one is None else show(one),
            "" if other is None else show(other),
            difference,
        )


def _in_words(name: str, metric: DecidingMetric | None) -> str:
    if metric is None:
        return name.replace("_", " ")
    direction = "" if metric.higher_is_better else ", lower is better"
    return f"{name.removesuffix(metric.name).rstrip('_')} {metric.title}{direction}"


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            one, other = (plain_text(each[name]) if name in each else "" for each in (first, second))
            yield name, one, other, ""


def _sample(run: Run) -> dict[str, Any]:
    return dict(run.architecture.sample) if run.architecture is not None else {}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in ("output", "resume", "quiet"):
            yield f"{prefix}{name}", value
