"""The picture of an architecture without cells: what was chosen for every label, one below the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exports.pictures.palette import family_of
from exports.pictures.shapes import Box, Curve, Drawing, Shape, Words, monospaced_width, shorten

__all__ = ["choices_drawing"]

MARGIN, HEAD, ROW = 12.0, 44.0, 42.0
BAR_WIDTH = 84.0
SIZE = 12.0
LONGEST_LABEL, LONGEST_VALUE = 34, 26
MOST_ROWS = 60


def choices_drawing(sample: Mapping[str, Any], probabilities: Mapping[str, Mapping[str, float]], title: str) -> Drawing:
    """Draw a chain of choices.

    Args:
        sample: ``{label: chosen value}``.
        probabilities: ``{label: {value as text: probability}}``; labels may be missing.
        title: the headline.
    """
    rows = [(label, str(value), probabilities.get(label, {}).get(str(value))) for label, value in sample.items()]
    shown, hidden = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    labels = [shorten(label, LONGEST_LABEL) for label, _, _ in shown]
    values = [shorten(value, LONGEST_VALUE) for _, value, _ in shown]
    widest = max([monospaced_width(text, SIZE) for text in values], default=0.0) + 16
    text = max([widest, *(monospaced_width(label, SIZE - 1) for label in labels)])
    left = MARGIN + 24
    bar = max(left + text + 16, 220.0)
    width = max(bar + BAR_WIDTH + 44 + MARGIN, 340.0)
    shapes: list[Shape] = [Words(MARGIN, MARGIN + 8, shorten(title, 44), 14, bold=True)]
    x = MARGIN + 6
    middles = [HEAD + ROW * (index + 0.5) for index in range(len(shown))]
    if middles:
        top, bottom = middles[0], middles[-1]
        shapes.append(Curve((x, top), (((x, top), (x, bottom), (x, bottom)),), "faint", 1.4))
    for y, label, value, (_, full, probability) in zip(middles, labels, values, shown, strict=True):
        family = family_of(full)
        paint = "faint" if family == "zero" else family
        shapes.append(Box(x - 5, y - 5, 10, 10, 5, paint, 1.0))
        shapes.append(Words(left, y - 12, label, SIZE - 1, "muted", mono=True))
        shapes.append(Box(left, y - 3, monospaced_width(value, SIZE) + 16, 20, 6, paint, hint=full))
        shapes.append(Words(left + 8, y + 7, value, SIZE, mono=True))
        if probability is not None:
            shapes.append(Box(bar, y + 3, BAR_WIDTH, 8, 3, "faint", 0.15, 0.8))
            shapes.append(Box(bar, y + 3, max(BAR_WIDTH * min(probability, 1), 1), 8, 3, paint, 0.9, 0.8))
            shapes.append(Words(width - MARGIN, y + 7, f"{probability:.2f}", SIZE - 1, "muted", "end", mono=True))
    end = HEAD + ROW * len(shown)
    if hidden > 0:
        end += ROW / 2
        shapes.append(Words(left, end - 10, f"and {hidden} more", SIZE, "muted"))
    words = "; ".join(f"{label}: {value}" + ("" if p is None else f", probability {p:.2f}") for label, value, p in rows)
    return Drawing(width, end + MARGIN, tuple(shapes), title, words or "No choices")
