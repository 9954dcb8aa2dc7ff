"""A drawing as a list of plain shapes, which both the SVG and the PNG writer can draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MONO_WIDTH", "Box", "Curve", "Drawing", "Point", "Polygon", "Shape", "Words", "monospaced_width", "shorten"]

Point = tuple[float, float]

MONO_WIDTH = 0.602
"""Width of a character of the usual fixed-width fonts, as a part of the font's size."""


@dataclass(frozen=True)
class Curve:
    """A line of cubic Bezier segments.

    Attributes:
        start: first point.
        segments: two control points and an end point each.
        paint: a name in the palette.
        width: of the line.
        dashed: whether the line is broken.
    """

    start: Point
    segments: tuple[tuple[Point, Point, Point], ...]
    paint: str
    width: float = 1.6
    dashed: bool = False


@dataclass(frozen=True)
class Polygon:
    """A filled area without outline, such as an arrow head."""

    points: tuple[Point, ...]
    paint: str


@dataclass(frozen=True)
class Box:
    """A rectangle with round corners: the paper's color, tinted, with an outline; ``hint`` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    paint: str
    tint: float = 0.14
    outline: float = 1.4
    dashed: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Words:
    """One line of text. ``y`` is the middle of the line, not the base line."""

    x: float
    y: float
    text: str
    size: float
    paint: str = "ink"
    anchor: Literal["start", "middle", "end"] = "start"
    mono: bool = False
    bold: bool = False

    @property
    def baseline(self) -> float:
        """Where the letters stand; the same rule in both writers, so that they agree."""
        return self.y + 0.35 * self.size


Shape = Curve | Polygon | Box | Words


@dataclass(frozen=True)
class Drawing:
    """Shapes on a page, later ones over earlier ones.

    Attributes:
        width: of the page, in pixels at normal size.
        height: of the page.
        shapes: what is on it.
        title: says in one line what is shown.
        description: says it in words, for those who cannot see it.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]
    title: str
    description: str


def monospaced_width(text: str, size: float) -> float:
    """Return how wide ``text`` is in a fixed-width font."""
    return len(text) * size * MONO_WIDTH


def shorten(text: str, limit: int) -> str:
    """Return ``text`` with at most ``limit`` characters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
