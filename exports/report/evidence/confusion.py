"""What was taken for what: a field for each pair of classes, darker where it happened more often."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from exports.pictures.shapes import MONO_WIDTH, shorten
from exports.pictures.svg import number
from exports.report.evidence.reading import Split

__all__ = ["MOST_CLASSES", "confusion_drawing"]

MOST_CLASSES = 20
"""Above this, a list of the most frequent confusions says more than fields that nobody can read."""
SIZE, LONGEST_NAME, WIDTH = 10.5, 14, 350.0


def confusion_drawing(split: Split, names: Sequence[str], title: str) -> str:
    """Draw the confusion matrix of a split with at most :data:`MOST_CLASSES` classes as an SVG element.

    Args:
        split: with all its confusions.
        names: of the classes.
        title: what is shown.
    """
    count = len(split.classes)
    rows = [
        f"{index} {shorten(name, LONGEST_NAME)}" if name != str(index) else name for index, name in enumerate(names)
    ]
    left = max(map(len, rows)) * SIZE * MONO_WIDTH + 18
    step = (WIDTH - left - 2) / count
    top, height = 32.0, 32.0 + step * count + 2
    counts = {(label, label): share.right for label, share in enumerate(split.classes)}
    counts |= {(label, taken): times for label, taken, times in split.confused}
    body = [
        f'<text class="axis" x="{number(left + step * count / 2)}" y="11" text-anchor="middle">taken for</text>',
        f'<rect class="heat-back" x="{number(left)}" y="{number(top)}" width="{number(step * count)}" '
        f'height="{number(step * count)}"/>',
    ]
    for index, name in enumerate(rows):
        middle = number(top + step * (index + 0.5) + 3.5)
        hint = f"<title>{escape(names[index])}</title>"
        body.append(f'<text x="{number(left - 6)}" y="{middle}" text-anchor="end">{escape(name)}{hint}</text>')
        across = number(left + step * (index + 0.5))
        body.append(f'<text x="{across}" y="26" text-anchor="middle">{index}{hint}</text>')
    for (label, taken), times in sorted(counts.items()):
        if not times:
            continue
        total = split.classes[label].count
        share = times / total if total else 0.0
        x, y = left + step * taken, top + step * label
        kind = "heat" if label == taken else "heat wrong"
        hint = escape(f"{names[label]} taken for {names[taken]}: {times} of {total} ({100 * share:.0f} %)")
        body.append(
            f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" width="{number(step - 1)}" '
            f'height="{number(step - 1)}" fill-opacity="{0.12 + 0.88 * share:.2f}"><title>{hint}</title></rect>'
        )
        if len(str(times)) * SIZE * MONO_WIDTH < step:
            tone = ' class="on-dark"' if share > 0.5 else ""
            body.append(
                f'<text{tone} x="{number(x + step / 2 - 0.5)}" y="{number(y + step / 2 + 3.5)}" text-anchor="middle" '
                f'pointer-events="none">{times}</text>'
            )
    return (
        f'<svg class="heat-map confusion" viewBox="0 0 {number(WIDTH)} {number(height)}" width="{number(WIDTH)}" '
        f'height="{number(height)}" role="img" aria-label="{escape(title)}">{"".join(body)}</svg>'
    )
