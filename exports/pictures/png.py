"""Drawings as PNG, through matplotlib: no browser, no system library, its own fonts."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from exports.pictures.palette import PALETTE
from exports.pictures.shapes import Box, Curve, Drawing, Point, Polygon, Shape, Words

__all__ = ["to_png"]

_DOTS_PER_UNIT = 100
_POINTS_PER_PIXEL = 72 / _DOTS_PER_UNIT


def to_png(drawing: Drawing, scale: float = 2.0) -> bytes:
    """Paint ``drawing`` on white; the same drawing, scale and matplotlib give the same bytes.

    Args:
        drawing: what to paint.
        scale: pixels per unit of the drawing, above 0.
    """
    # A user's own matplotlib style must not change the picture.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", "text.parse_math": False}):
        figure = Figure(figsize=(drawing.width / _DOTS_PER_UNIT, drawing.height / _DOTS_PER_UNIT), dpi=_DOTS_PER_UNIT)
        FigureCanvasAgg(figure)
        figure.patch.set_facecolor(PALETTE["paper"][0])
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, drawing.width)
        axes.set_ylim(drawing.height, 0)
        for order, shape in enumerate(drawing.shapes):
            _paint(axes, shape, order)
        buffer = io.BytesIO()
        # No metadata: the name of the program in a file would be all that differs between versions.
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_UNIT * scale, metadata={"Software": None})
    return buffer.getvalue()


def _paint(axes: Any, shape: Shape, order: int) -> None:
    if isinstance(shape, Words):
        axes.text(
            shape.x,
            shape.baseline,
            shape.text,
            fontsize=shape.size * _POINTS_PER_PIXEL,
            fontfamily="DejaVu Sans Mono" if shape.mono else "DejaVu Sans",
            fontweight="bold" if shape.bold else "normal",
            ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
            va="baseline",
            color=PALETTE[shape.paint][0],
            zorder=order,
        )
        return
    for patch in _patches(shape):
        patch.set_zorder(order)
        axes.add_patch(patch)


def _patches(shape: Curve | Polygon | Box) -> list[Any]:
    color = PALETTE[shape.paint][0]
    if isinstance(shape, Curve):
        corners = [shape.start, *(point for segment in shape.segments for point in segment)]
        codes = [Outline.MOVETO] + [Outline.CURVE4] * (len(corners) - 1)
        style = (0, (4, 4)) if shape.dashed else "solid"
        width = shape.width * _POINTS_PER_PIXEL
        return [PathPatch(Outline(corners, codes), fill=False, edgecolor=color, linewidth=width, linestyle=style)]
    if isinstance(shape, Polygon):
        closed = Outline([*shape.points, shape.points[0]], closed=True)
        return [PathPatch(closed, facecolor=color, edgecolor="none")]
    outline = _rounded(shape)
    style = (0, (4, 3)) if shape.dashed else "solid"
    width = shape.outline * _POINTS_PER_PIXEL
    return [
        PathPatch(outline, facecolor=PALETTE["paper"][0], edgecolor="none"),
        PathPatch(outline, facecolor=color, alpha=shape.tint, edgecolor="none"),
        PathPatch(outline, fill=False, edgecolor=color, linewidth=width, linestyle=style),
    ]


def _rounded(box: Box) -> Outline:
    """Return the outline of a box; matplotlib's own round boxes have corners that are no circles."""
    radius = min(box.radius, box.width / 2, box.height / 2)
    handle = radius * (1 - 4 / 3 * (math.sqrt(2) - 1))  # of the cubic nearest to a quarter of a circle
    points: list[Point] = []
    for x, across, y, down in (
        (box.x, 1, box.y, 1),
        (box.x + box.width, -1, box.y, 1),
        (box.x + box.width, -1, box.y + box.height, -1),
        (box.x, 1, box.y + box.height, -1),
    ):
        corner = [(x, y + down * radius), (x, y + down * handle), (x + across * handle, y), (x + across * radius, y)]
        points += corner if across == down else corner[::-1]
    codes = ([Outline.LINETO] + [Outline.CURVE4] * 3) * 4
    return Outline([*points, points[0]], [Outline.MOVETO, *codes[1:], Outline.CLOSEPOLY])
