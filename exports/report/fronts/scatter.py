"""Accuracy over cost: a dot for each child with its interval, and the stairs of those that no other beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from exports.metric import DecidingMetric
from exports.pictures.svg import number
from exports.report.charts import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, Frame, chart_svg
from exports.report.numbers import compact, ticks

__all__ = ["Dot", "metric_axis", "scatter_chart"]


@dataclass(frozen=True)
class Dot:
    """A child.

    Attributes:
        x: its cost.
        y: its accuracy.
        name: stands beside it; empty for none.
        hint: says all in words.
        kind: ``front`` if no other of its kind beats it, ``plain``, ``chosen``, or ``random``.
        link: where a click leads on the page; empty for nowhere.
        interval: of ``y``; None for none.
    """

    x: float
    y: float
    name: str
    hint: str
    kind: str = "plain"
    link: str = ""
    interval: tuple[float, float] | None = None


ORDER = ("random", "plain", "front", "chosen")
"""What is drawn later lies on top."""


def metric_axis(metric: DecidingMetric) -> Callable[[float], str]:
    """Return what writes the values of a metric on an axis."""
    return (lambda value: f"{100 * value:.4g} %") if metric.percent else compact


def scatter_chart(
    label: str, x_name: str, dots: Sequence[Dot], x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> str:
    """Draw points and the stairs of the front; neither axis needs to begin at zero, as both are labelled.

    Args:
        label: what is shown, for those who cannot see it.
        x_name: what the horizontal axis is.
        dots: at least one.
        x_text: writes a cost.
        y_text: writes an accuracy.
    """
    xs = ticks(min(dot.x for dot in dots), max(dot.x for dot in dots), 5)
    every = [value for dot in dots for value in (dot.y, *(dot.interval or ()))]
    ys = ticks(min(every), max(every), 4)
    frame = Frame(xs, ys, xs[0], xs[-1])
    body = frame.svg(x_name, x_text, y_text)
    front = sorted({(dot.x, dot.y) for dot in dots if dot.kind in ("front", "chosen")})
    if len(front) > 1:
        stairs = f"M{number(frame.x(front[0][0]))} {number(frame.y(front[0][1]))}"
        stairs += "".join(f"H{number(frame.x(x))}V{number(frame.y(y))}" for x, y in front[1:])
        body.append(f'<path class="front" d="{stairs}H{number(WIDTH - RIGHT)}"/>')
    taken: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: ORDER.index(dot.kind)):
        body.append(_dot(dot, frame, taken))
    # Not an image to assistive software: it has links in it.
    return chart_svg(label, body, role="group")


def _dot(dot: Dot, frame: Frame, taken: list[tuple[float, float]]) -> str:
    x, y = frame.x(dot.x), frame.y(dot.y)
    parts = []
    if dot.interval is not None:
        low, high = (frame.y(each) for each in dot.interval)
        parts.append(f'<path class="interval {dot.kind}-interval" d="M{number(x)} {number(low)}V{number(high)}"/>')
    radius = 6 if dot.kind == "chosen" else 4 if dot.kind == "random" else 5
    parts.append(
        f'<circle class="dot {dot.kind}-dot" cx="{number(x)}" cy="{number(y)}" r="{radius}">'
        f"<title>{escape(dot.hint)}</title></circle>"
    )
    if dot.name:
        parts.append(_name(dot, x, y, taken))
    inside = "".join(parts)
    return f'<a href="{escape(dot.link)}" aria-label="{escape(dot.hint)}">{inside}</a>' if dot.link else inside


def _name(dot: Dot, x: float, y: float, taken: list[tuple[float, float]]) -> str:
    """Write the name beside the dot, on the side where there is room and no other name."""
    width = 6.5 * len(dot.name)
    right = x + 8 + width <= WIDTH - 2
    places = [(x + 8, y - 6), (x + 8, y + 13), (x - 8 - width, y - 6), (x - 8 - width, y + 13), (x + 8, y - 19)]
    places = places if right else places[2:4]
    free = [
        (left, base)
        for left, base in places
        if TOP + 6 < base < HEIGHT - BOTTOM and left >= 0
        if all(abs(base - other) >= 12 or abs(left - start) >= width + 4 for start, other in taken)
    ]
    left, base = (free or places)[0]
    taken.append((left, base))
    return f'<text x="{number(left)}" y="{number(base)}">{escape(dot.name)}</text>'
