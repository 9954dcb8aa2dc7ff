"""Line charts as SVG elements: axes from round number to round number, nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from exports.pictures.svg import number
from exports.report.metrics_log import Points
from exports.report.numbers import compact, ticks

__all__ = ["Frame", "Series", "chart_svg", "line_chart", "thinned"]

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
class Frame:
    """The axes: ticks ``xs`` and ``ys`` at round numbers, ``low`` to ``high`` across, and where a value is."""

    xs: list[float]
    ys: list[float]
    low: float
    high: float

    def x(self, value: float) -> float:
        """Return where a value is across."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.low) / ((self.high - self.low) or 1)

    def y(self, value: float) -> float:
        """Return where a value is down."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.ys[0]) / ((self.ys[-1] - self.ys[0]) or 1)

    def svg(self, x_name: str, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> list[str]:
        """Return the elements of grid and axes."""
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
    frame = Frame(
        sorted({low, *whole} if low == 1 else set(whole) or {low}), ticks(min(values), max(values), 4), low, high
    )
    if low == high:
        frame = Frame([low], frame.ys, low - 0.5, high + 0.5)
    body = frame.svg("epoch", lambda value: f"{value:g}", text)
    if bound is not None:
        body.append(f'<path class="bound" d="M{number(LEFT)} {number(frame.y(bound))}H{number(WIDTH - RIGHT)}"/>')
    for line in series:
        if not line.points:
            continue
        shown = thinned(line.points)
        path = "L".join(f"{number(frame.x(x))} {number(frame.y(y))}" for x, y in shown)
        dashed = " dashed" if line.dashed else ""
        # What the script shows under the pointer: the values themselves, in the order of the path's places.
        hover = " ".join(f"{x}:{escape(text(y)).replace(' ', '_')}" for x, y in shown)
        body.append(
            f'<path class="line line-{line.color}{dashed}" d="M{path}" data-name="{escape(line.name)}" '
            f'data-values="{hover}"/>'
        )
        marked = line.points if len(line.points) <= MOST_MARKS else line.points[-1:]
        for x, y in marked:
            hint = escape(f"{line.name}, epoch {x}: {text(y)}")
            body.append(
                f'<circle class="mark mark-{line.color}" cx="{number(frame.x(x))}" cy="{number(frame.y(y))}" r="3">'
                f"<title>{hint}</title></circle>"
            )
    return chart_svg(f"{label}. " + "; ".join(_in_words(line, text) for line in series if line.points), body)


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


def _in_words(line: Series, text: Callable[[float], str]) -> str:
    (first, start), (last, end) = line.points[0], line.points[-1]
    return f"{line.name} from {text(start)} in epoch {first} to {text(end)} in epoch {last}"


def chart_svg(label: str, body: Sequence[str], role: str = "img") -> str:
    """Return an SVG element of a chart's size.

    Args:
        label: what is shown, for those who cannot see it.
        body: its elements.
        role: ``group`` where there are links in it.
    """
    return (
        f'<svg class="chart" viewBox="0 0 {number(WIDTH)} {number(HEIGHT)}" role="{role}" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )
