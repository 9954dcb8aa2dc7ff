"""Line and scatter charts as SVG elements: axes from round number to round number, nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from exports.pictures.svg import number
from exports.report.metrics_log import Points
from exports.report.numbers import compact, ticks

__all__ = ["Dot", "Series", "line_chart", "scatter_chart", "thinned"]

WIDTH, HEIGHT = 350.0, 205.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 20.0, 10.0, 40.0
MOST_MARKS = 60
MOST_PLACES = 320
"""How many places a line is drawn at; a chart is about as many pixels wide."""


@dataclass(frozen=True)
class Series:
    """A line: its name, its ``(epoch, value)`` points, its color (1 to 4), and whether it is dashed."""

    name: str
    points: Points
    color: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class Dot:
    """A trial in a scatter chart; ``on_front`` if no other beats it."""

    x: float
    y: float
    name: str
    link: str
    hint: str
    on_front: bool


@dataclass(frozen=True)
class _Frame:
    """The axes: round numbers to round numbers, and where a value is on the page."""

    xs: list[float]
    ys: list[float]
    low: float
    high: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.low) / ((self.high - self.low) or 1)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.ys[0]) / ((self.ys[-1] - self.ys[0]) or 1)

    def svg(self, x_name: str, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> list[str]:
        lines = []
        for value in self.ys:
            y = number(self.y(value))
            lines.append(f'<path class="grid" d="M{number(LEFT)} {y}H{number(WIDTH - RIGHT)}"/>')
            middle = number(self.y(value) + 4)
            lines.append(f'<text x="{number(LEFT - 7)}" y="{middle}" text-anchor="end">{escape(y_text(value))}</text>')
        for value in self.xs:
            x = number(self.x(value))
            lines.append(f'<path class="grid" d="M{x} {number(HEIGHT - BOTTOM)}v4"/>')
            base = number(HEIGHT - BOTTOM + 17)
            lines.append(f'<text x="{x}" y="{base}" text-anchor="middle">{escape(x_text(value))}</text>')
        middle = number((LEFT + WIDTH - RIGHT) / 2)
        lines.append(
            f'<text class="axis" x="{middle}" y="{number(HEIGHT - 4)}" text-anchor="middle">{escape(x_name)}</text>'
        )
        return lines


def line_chart(
    label: str,
    series: Sequence[Series],
    text: Callable[[float], str] = compact,
    bound: float | None = None,
    top: float | None = None,
) -> str:
    """Draw lines over the epochs. The vertical axis always has zero in it.

    Args:
        label: what is shown, for those who cannot see it.
        series: the lines; at least one point in all.
        text: writes a value of the vertical axis.
        bound: height of a dotted line across the chart.
        top: value that the vertical axis reaches at least.
    """
    every = [point for line in series for point in line.points]
    epochs = [epoch for epoch, _ in every]
    values = [value for _, value in every] + [0.0] + [each for each in (bound, top) if each is not None]
    low, high = min(epochs), max(epochs)
    whole = [each for each in ticks(low, high, 6) if low <= each <= high and each == int(each)]
    frame = _Frame(
        sorted({low, *whole} if low == 1 else set(whole) or {low}), ticks(min(values), max(values), 4), low, high
    )
    if low == high:
        frame = _Frame([low], frame.ys, low - 0.5, high + 0.5)
    body = frame.svg("epoch", lambda value: f"{value:g}", text)
    if bound is not None:
        body.append(f'<path class="bound" d="M{number(LEFT)} {number(frame.y(bound))}H{number(WIDTH - RIGHT)}"/>')
    for line in series:
        if not line.points:
            continue
        path = "L".join(f"{number(frame.x(x))} {number(frame.y(y))}" for x, y in thinned(line.points))
        dashed = " dashed" if line.dashed else ""
        body.append(f'<path class="line line-{line.color}{dashed}" d="M{path}"/>')
        marked = line.points if len(line.points) <= MOST_MARKS else line.points[-1:]
        for x, y in marked:
            hint = escape(f"{line.name}, epoch {x}: {text(y)}")
            body.append(
                f'<circle class="mark mark-{line.color}" cx="{number(frame.x(x))}" cy="{number(frame.y(y))}" r="3">'
                f"<title>{hint}</title></circle>"
            )
    return _svg(f"{label}. " + "; ".join(_in_words(line, text) for line in series if line.points), body)


def thinned(points: Points, places: int = MOST_PLACES) -> Points:
    """Return a line that looks the same in ``places`` places: of each its first, lowest, highest and last point.

    Args:
        points: sorted by epoch.
        places: how many; up to ``4 * places`` points stay, all if they are no more.
    """
    if len(points) <= 4 * places:
        return points
    low, high = points[0][0], points[-1][0]
    groups: dict[int, Points] = {}
    for point in points:
        groups.setdefault(int(places * (point[0] - low) / (high - low + 1)), []).append(point)
    kept: Points = []
    for group in groups.values():
        lowest, highest = min(group, key=lambda point: point[1]), max(group, key=lambda point: point[1])
        kept += sorted({group[0], lowest, highest, group[-1]})
    return kept


def scatter_chart(
    label: str, x_name: str, dots: Sequence[Dot], x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> str:
    """Draw points and the stairs of the Pareto front; neither axis needs to begin at zero, as both are labelled."""
    xs = ticks(min(dot.x for dot in dots), max(dot.x for dot in dots), 5)
    ys = ticks(min(dot.y for dot in dots), max(dot.y for dot in dots), 4)
    frame = _Frame(xs, ys, xs[0], xs[-1])
    body = frame.svg(x_name, x_text, y_text)
    front = sorted((dot.x, dot.y) for dot in dots if dot.on_front)
    if front:
        stairs = f"M{number(frame.x(front[0][0]))} {number(frame.y(front[0][1]))}"
        stairs += "".join(f"H{number(frame.x(x))}V{number(frame.y(y))}" for x, y in front[1:])
        body.append(f'<path class="front" d="{stairs}H{number(WIDTH - RIGHT)}"/>')
    for dot in sorted(dots, key=lambda dot: dot.on_front):
        x, y = frame.x(dot.x), frame.y(dot.y)
        kind = "dot front-dot" if dot.on_front else "dot"
        anchor, shift = ("end", -8) if x > WIDTH - RIGHT - 24 else ("start", 8)
        body.append(
            f'<a href="{escape(dot.link)}" aria-label="{escape(dot.hint)}"><circle class="{kind}" cx="{number(x)}" '
            f'cy="{number(y)}" r="5"><title>{escape(dot.hint)}</title></circle><text x="{number(x + shift)}" '
            f'y="{number(y - 5)}" text-anchor="{anchor}">{escape(dot.name)}</text></a>'
        )
    # Not an image to assistive software: it has links in it.
    return _svg(label, body, role="group")


def _in_words(line: Series, text: Callable[[float], str]) -> str:
    (first, start), (last, end) = line.points[0], line.points[-1]
    return f"{line.name} from {text(start)} in epoch {first} to {text(end)} in epoch {last}"


def _svg(label: str, body: Sequence[str], role: str = "img") -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {number(WIDTH)} {number(HEIGHT)}" role="{role}" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )
