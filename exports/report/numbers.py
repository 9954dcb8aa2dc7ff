"""Numbers as people read them, and values from files that may be anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from exports.metric import DecidingMetric

__all__ = ["as_mapping", "as_number", "compact", "duration", "of_metric", "percent", "plain_text", "ticks"]


def as_number(value: object) -> float | None:
    """Return a number of less than 1e100 in size, or None for everything else; texts of numbers are numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e100 else None  # NaN compares false; axes are drawn from differences


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a dictionary with text keys, empty for everything else."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def percent(value: float) -> str:
    """Write a share of 1: ``91.9 %``."""
    return f"{100 * value:.1f} %"


def of_metric(metric: DecidingMetric, value: float) -> str:
    """Write a value of the metric that decides: a share in percent, any other with four digits."""
    return percent(value) if metric.percent else f"{value:.4g}"


def compact(value: float) -> str:
    """Write a number with three digits or more, and a letter for thousands, millions, billions."""
    size = abs(value)
    if size < 10_000 and size == int(size):
        return f"{int(value):,}"
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g} {letter}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Write a time: ``1 min 14 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def plain_text(value: object) -> str:
    """Write a setting as text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain_text, value)) if value else "(empty)"
    return "(none)" if value is None else str(value)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers that enclose ``low`` to ``high``."""
    if not high - low > 1e-290:  # below, a tenth of the step is no number any more
        high = low + (abs(low) if abs(low) > 1e-290 else 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough * 0.999), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = 3 - math.floor(math.log10(step))  # three beyond the step's first: enough for 2.5
    return [round(index * step, digits) for index in range(first, last + 1)]
