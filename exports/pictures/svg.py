"""Drawings as SVG: the same drawing always gives the same bytes."""

from __future__ import annotations

from html import escape

from exports.pictures.palette import PALETTE
from exports.pictures.shapes import Box, Curve, Drawing, Polygon, Shape, Words

__all__ = ["picture_css", "to_svg"]

_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"


def to_svg(drawing: Drawing, standalone: bool = True) -> str:
    """Write ``drawing`` as SVG.

    Args:
        drawing: what to write.
        standalone: a file of its own, with colors that follow the reader's light or dark mode; otherwise an
            element for an HTML page that has :func:`picture_css`.
    """
    width, height = number(drawing.width), number(drawing.height)
    label = escape(f"{drawing.title}. {drawing.description}")
    name_space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    lines = [
        f'<svg{name_space} class="picture" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">'
    ]
    if standalone:
        lines += [
            f"<title>{escape(drawing.title)}</title>",
            f"<style>{picture_css()}</style>",
            f'<rect class="f-paper" width="{width}" height="{height}"/>',
        ]
    return "\n".join([*lines, *map(_shape, drawing.shapes), "</svg>", ""])


def picture_css() -> str:
    """Return the style rules of all pictures: a class for each color, darker pages included."""
    dark = "".join(_color_rules(name, pair[1]) for name, pair in PALETTE.items())
    return (
        "".join(_color_rules(name, pair[0]) for name, pair in PALETTE.items())
        + f".picture text{{font-family:{_SANS}}}.picture .mono{{font-family:{_MONO}}}"
        + f"@media (prefers-color-scheme:dark){{{dark}}}"
    )


def _color_rules(name: str, color: str) -> str:
    # Classes and not variables in attributes: viewers outside browsers know classes.
    return f".picture .f-{name}{{fill:{color}}}.picture .s-{name}{{stroke:{color}}}"


def number(value: float) -> str:
    """Write a length with one decimal at most."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _point(point: tuple[float, float]) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _shape(shape: Shape) -> str:
    if isinstance(shape, Curve):
        path = f"M{_point(shape.start)}" + "".join(f"C{' '.join(map(_point, part))}" for part in shape.segments)
        dashes = ' stroke-dasharray="4 4"' if shape.dashed else ""
        return f'<path class="s-{shape.paint}" d="{path}" fill="none" stroke-width="{number(shape.width)}"{dashes}/>'
    if isinstance(shape, Polygon):
        return f'<path class="f-{shape.paint}" d="M{"L".join(map(_point, shape.points))}Z"/>'
    if isinstance(shape, Box):
        return _box(shape)
    return _words(shape)


def _box(box: Box) -> str:
    place = (
        f'x="{number(box.x)}" y="{number(box.y)}" width="{number(box.width)}" height="{number(box.height)}" '
        f'rx="{number(box.radius)}"'
    )
    dashes = ' stroke-dasharray="4 3"' if box.dashed else ""
    hint = f"<title>{escape(box.hint)}</title>" if box.hint else ""
    return (
        f'<rect class="f-paper" {place}/>'
        f'<rect class="f-{box.paint} s-{box.paint}" {place} fill-opacity="{box.tint:g}" '
        f'stroke-width="{number(box.outline)}"{dashes}>{hint}</rect>'
    )


def _words(words: Words) -> str:
    mono = " mono" if words.mono else ""
    bold = ' font-weight="600"' if words.bold else ""
    anchor = "" if words.anchor == "start" else f' text-anchor="{words.anchor}"'
    # Text over a box must not hide the box's tooltip.
    return (
        f'<text class="f-{words.paint}{mono}" x="{number(words.x)}" y="{number(words.baseline)}" '
        f'font-size="{number(words.size)}"{anchor}{bold} pointer-events="none">{escape(words.text)}</text>'
    )
