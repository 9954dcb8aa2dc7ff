"""The probabilities of one label over the epochs: a row for every candidate, darker is more probable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape

from exports.pictures.shapes import MONO_WIDTH, shorten
from exports.pictures.svg import number
from exports.report.metrics_log import Points

__all__ = ["LEVELS", "heat_map", "shown_epochs"]

LEVELS = 12
MOST_EPOCHS, MOST_ROWS = 30, 24
ROW, SIZE, FIELD = 15.0, 10.5, 130.0
LONGEST_NAME = 18


def shown_epochs(epochs: Collection[int], most: int = MOST_EPOCHS) -> list[int]:
    """Return at most ``most`` epochs, evenly spread, the first and last among them."""
    every = sorted(epochs)
    if len(every) <= most:
        return every
    return [every[round(index * (len(every) - 1) / (most - 1))] for index in range(most)]


def heat_map(label: str, candidates: Mapping[str, Points], chosen: Collection[str]) -> str:
    """Draw one label.

    Args:
        label: its name.
        candidates: ``{candidate: probability by epoch}``, at least one with a point.
        chosen: candidates in the child, which are marked.
    """
    tables = {name: dict(points) for name, points in candidates.items() if points}
    epochs = shown_epochs({epoch for table in tables.values() for epoch in table})
    rows = list(tables)
    if len(rows) > MOST_ROWS:  # the most probable ones, in their order
        top = sorted(rows, key=lambda name: (name not in chosen, -tables[name].get(epochs[-1], 0.0)))[:MOST_ROWS]
        rows = [name for name in rows if name in top]
    names = [shorten(name, LONGEST_NAME) for name in rows]
    left = max(map(len, names)) * SIZE * MONO_WIDTH + 8
    step = FIELD / len(epochs)
    cells: dict[int, list[str]] = {}
    for row, name in enumerate(rows):
        for column, epoch in enumerate(epochs):
            value = tables[name].get(epoch)
            if value is not None:
                level = round(min(max(value, 0.0), 1.0) * LEVELS)
                place = f"M{number(left + column * step)} {number(row * ROW)}h{number(step)}v{number(ROW - 1)}"
                cells.setdefault(level, []).append(f"{place}h-{number(step)}z")
    height = len(rows) * ROW
    body = [f'<rect class="heat-back" x="{number(left)}" width="{number(FIELD)}" height="{number(height - 1)}"/>']
    body += [
        f'<path class="heat" fill-opacity="{level / LEVELS:.2f}" d="{"".join(cells[level])}"/>'
        for level in sorted(cells)
        if level
    ]
    for row, (name, shown) in enumerate(zip(rows, names, strict=True)):
        y = number(row * ROW + ROW / 2 + 3)
        kind = ' class="chosen"' if name in chosen else ""
        hint = f"<title>{escape(name)}</title>" if shown != name else ""
        body.append(f'<text{kind} x="{number(left - 6)}" y="{y}" text-anchor="end">{escape(shown)}{hint}</text>')
        last = tables[name].get(epochs[-1])
        if last is not None:
            body.append(f'<text{kind} x="{number(left + FIELD + 6)}" y="{y}">{last:.2f}</text>')
        if name in chosen:
            body.append(
                f'<rect class="chosen-row" x="{number(left - 0.5)}" y="{number(row * ROW - 0.5)}" '
                f'width="{number(FIELD + 1)}" height="{number(ROW)}"/>'
            )
    base = number(height + 12)
    body.append(f'<text class="axis" x="{number(left)}" y="{base}">epoch {epochs[0]}</text>')
    if len(epochs) > 1:
        body.append(f'<text class="axis" x="{number(left + FIELD)}" y="{base}" text-anchor="end">{epochs[-1]}</text>')
    width = left + FIELD + 34
    return (
        f'<svg class="heat-map" viewBox="0 0 {number(width)} {number(height + 16)}" width="{number(width)}" '
        f'height="{number(height + 16)}" role="img" aria-label="{escape(_in_words(label, tables, chosen, epochs))}">'
        f"{''.join(body)}</svg>"
    )


def _in_words(label: str, tables: Mapping[str, Mapping[int, float]], chosen: Collection[str], epochs: list[int]) -> str:
    ends = [
        f"{name} {table[epochs[-1]]:.2f}{' (chosen)' if name in chosen else ''}"
        for name, table in tables.items()
        if epochs[-1] in table
    ]
    return f"{label}: probabilities in epoch {epochs[-1]}: {', '.join(ends)}"
