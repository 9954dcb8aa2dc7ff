"""A network without cells: a row for everything that runs, in its order, with the candidates of every choice.

What the child has is drawn in color; candidates that were not chosen, blocks beyond the depth and inputs that are not
read are pale and dashed. Lines on the left show what reads what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exports.network.graph import Network, Node
from exports.pictures.lanes import Lane, lanes_of
from exports.pictures.palette import family_of
from exports.pictures.shapes import Box, Curve, Drawing, Point, Polygon, Shape, Words, monospaced_width, shorten

__all__ = ["MOST_ROWS", "Values", "network_drawing"]

Values = Mapping[str, Sequence[tuple[str, float | None, bool]]]
"""By label: each candidate as text, its probability (None where it is not known), and whether it is in the child."""

MARGIN, HEAD = 12.0, 38.0
NAME, CHIP, GAP = 16.0, 24.0, 12.0
SIZE = 12.0
LANE = 11.0
INDENT = 16.0
MOST_ROWS = 400
MOST_CHIPS = 12
ARROW = 5.0


@dataclass
class _Row:
    """One node: its place, and the lines of text and chips below its name."""

    node: Node
    left: float
    top: float = 0.0
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.top + NAME / 2


def network_drawing(network: Network, values: Values, title: str, width: float = 720.0) -> Drawing:
    """Draw a network at a given width.

    Args:
        network: its nodes.
        values: the candidates of its labels.
        title: the headline.
        width: of the drawing, in pixels; 350 for a phone.
    """
    nodes = network.nodes[:MOST_ROWS]
    flow = [index for index in range(len(nodes)) if _flows(network, index)]
    place = {index: row for row, index in enumerate(flow)}
    edges = [{place[source]: used for source, used in nodes[index].inputs if source in place} for index in flow]
    lanes = lanes_of(edges)
    rail = MARGIN + LANE * max((lane.place for lane in lanes), default=0) + 8
    shown: set[str] = set()
    rows: list[_Row] = []
    y = HEAD
    for index, node in enumerate(nodes):
        row = _Row(node, rail + 18 + INDENT * len(network.groups_of(index)), y)
        _fill(row, values, shown, width - MARGIN - 8 - INDENT * 0.5 * len(network.groups_of(index)))
        y += row.height + GAP
        rows.append(row)
    hidden = len(network.nodes) - len(nodes)
    shapes: list[Shape] = [Words(MARGIN, MARGIN + 8, shorten(title, 44), 14, bold=True)]
    shapes += _boxes(network, rows, width)
    shapes += _lines([rows[index] for index in flow], edges, lanes, rail)
    for index in flow:
        shapes += _dot(rows[index], rail)
    for row in rows:
        shapes += row.shapes
    if hidden:
        y += NAME
        shapes.append(Words(rail + 18, y - NAME, f"and {hidden} more", SIZE, "muted"))
    return Drawing(width, y + MARGIN - GAP, tuple(shapes), title, _in_words(network, values))


def _flows(network: Network, index: int) -> bool:
    """Whether a node has a place on the line; what is inside of a candidate has none, nor has the head of a repeat."""
    inside = any(network.nodes[group].kind == "choice" for group in network.groups_of(index))
    return not inside and network.nodes[index].kind != "repeat"


# ---- rows ------------------------------------------------------------------------------------------------------------


def _fill(row: _Row, values: Values, shown: set[str], right: float) -> None:
    node, tone = row.node, "muted"
    room = int((right - row.left) / monospaced_width("x", SIZE - 1))
    name = node.name if not node.branch else f"in {node.branch}: {node.name.rpartition('.')[2]}"
    if node.kind in ("layer", "join") and not node.labels:
        words = f"{node.text or node.name}" if node.kind == "join" else node.text
        row.shapes.append(
            Words(
                row.left, row.middle, shorten(words, max(8, room - 2)), SIZE, "ink" if node.active else tone, mono=True
            )
        )
        left = row.left + monospaced_width(shorten(words, max(8, room - 2)), SIZE) + 12
        rest = int((right - left) / monospaced_width("x", SIZE - 2))
        if rest > 6 and node.kind == "layer":
            row.shapes.append(Words(left, row.middle, shorten(name, rest), SIZE - 2, "muted", mono=True))
        row.height = NAME
        return
    own = node.labels[0] if len(node.labels) == 1 else ""
    headline = name if not own or own == name else f"{own} ({name})" if node.kind != "layer" else name
    if node.kind == "repeat":
        headline = f"{name}: {node.text} blocks"
    elif node.kind == "inputs":
        headline = f"{headline}: {node.text} of inputs"
    row.shapes.append(
        Words(row.left, row.middle, shorten(headline, room), SIZE - 1, "muted", mono=True, bold=node.kind == "repeat")
    )
    y = row.top + NAME
    if node.text and node.kind in ("layer", "choice") and (node.kind == "layer" or node.active):
        paint = "ink" if node.active and node.kind == "layer" else tone
        size = SIZE if node.kind == "layer" else SIZE - 2
        fits = int((right - row.left) / monospaced_width("x", size))
        text = Words(row.left, y + NAME / 2, shorten(node.text, fits), size, paint, mono=True)
        if node.kind == "layer":
            row.shapes.append(text)
            y += NAME + 2
    for label in node.labels:
        y = _chips(
            row,
            label,
            values.get(label, ()),
            y,
            right,
            named=label != own or node.kind == "layer",
            first=label not in shown,
        )
        shown.add(label)
    if node.text and node.kind == "choice" and node.active:
        fits = int((right - row.left) / monospaced_width("x", SIZE - 2))
        row.shapes.append(Words(row.left, y + 6, shorten(node.text, fits), SIZE - 2, "muted", mono=True))
        y += NAME - 2
    row.height = y - row.top


def _chips(
    row: _Row,
    label: str,
    candidates: Sequence[tuple[str, float | None, bool]],
    y: float,
    right: float,
    named: bool,
    first: bool,
) -> float:
    """Write a label's candidates from ``y`` on, as many lines as they need; return where they end."""
    x = row.left
    if named:
        words = shorten(label, 26)
        if not first:
            words += " = " + ", ".join(name for name, _, chosen in candidates if chosen) + ", as above"
        row.shapes.append(Words(x, y + CHIP / 2 - 2, words, SIZE - 2, "muted", mono=True))
        x += monospaced_width(words, SIZE - 2) + 10
        if not first:
            return y + NAME
    kept = list(candidates)
    if len(kept) > MOST_CHIPS:  # the chosen and the most probable ones, in their order
        best = sorted(kept, key=lambda each: (not each[2], -(each[1] or 0.0)))[:MOST_CHIPS]
        kept = [each for each in kept if each in best]
    for name, probability, chosen in kept:
        text = shorten(name, 22)
        number = "" if probability is None else f"{probability:.2f}"
        width = monospaced_width(text, SIZE) + 14 + (monospaced_width(number, SIZE - 2) + 6 if number else 0)
        if x + width > right and x > row.left:
            x, y = row.left, y + CHIP
        row.shapes += _chip(
            row.node.active,
            (x, y),
            width,
            text,
            number,
            chosen,
            f"{label}: {name}"
            + (f", probability {number}" if number else "")
            + (", in the child" if chosen and row.node.active else ""),
        )
        x += width + 6
    if len(kept) < len(candidates):
        row.shapes.append(Words(x + 2, y + CHIP / 2 - 2, f"and {len(candidates) - len(kept)} more", SIZE - 2, "muted"))
    return y + CHIP


def _chip(active: bool, at: Point, width: float, text: str, number: str, chosen: bool, hint: str) -> Iterator[Shape]:
    x, y = at
    lives = active and chosen
    family = family_of(text)
    paint = ("skip" if family == "zero" else family) if lives else "faint"
    yield Box(x, y, width, 20, 6, paint, 0.22 if lives else 0.05, 1.8 if lives else 1.0, dashed=not lives, hint=hint)
    yield Words(x + 7, y + 10, text, SIZE, "ink" if lives else "muted", mono=True, bold=lives)
    if number:
        yield Words(x + width - 7, y + 10, number, SIZE - 2, "muted", "end", mono=True)


def _boxes(network: Network, rows: Sequence[_Row], width: float) -> Iterator[Shape]:
    """Draw a frame around every repeat with its blocks."""
    for index, row in enumerate(rows):
        if row.node.kind != "repeat":
            continue
        inside = [other for other, each in enumerate(rows) if index in network.groups_of(other)]
        last = rows[inside[-1]] if inside else row
        depth = len(network.groups_of(index))
        left, top = row.left - 8, row.top - 5
        right = width - MARGIN + 4 - INDENT * 0.5 * depth
        height = last.top + last.height - top + 5
        dead = not row.node.active
        yield Box(left, top, right - left, height, 10, "faint" if dead else "muted", 0.03, 1.0, dashed=dead)


# ---- lines -----------------------------------------------------------------------------------------------------------


def _lines(
    rows: Sequence[_Row], edges: Sequence[Mapping[int, bool]], lanes: Sequence[Lane], rail: float
) -> Iterator[Shape]:
    for used_ones in (False, True):  # what carries something lies on top
        for target, sources in enumerate(edges):
            used = sources.get(target - 1) if target else None
            if used is used_ones:
                start, end = (rail, rows[target - 1].middle), (rail, rows[target].middle)
                yield _line(start, ((start, end, end),), used)
        for lane in lanes:
            yield from _lane(rows, lane, rail, used_ones)


def _lane(rows: Sequence[_Row], lane: Lane, rail: float, used_ones: bool) -> Iterator[Shape]:
    x, bend = rail - 4 - LANE * lane.place, 9.0
    top = rows[lane.source].middle
    end = lane.last_used if used_ones else lane.last
    if end > lane.source:
        y = rows[end].middle
        start = (rail - 4, top)
        yield _line(
            start,
            (
                ((x, top), (x, top), (x, top + bend)),
                ((x, top + bend), (x, y - bend), (x, y - bend)),
            ),
            used_ones,
        )
    for target, used in lane.targets:
        if used is used_ones:
            y = rows[target].middle
            tip = rail - 7
            yield _line((x, y - bend), (((x, y), (x, y), (tip - ARROW + 1, y)),), used)
            paint = "muted" if used else "faint"
            yield Polygon(((tip, y), (tip - ARROW, y - 3), (tip - ARROW, y + 3)), paint)


def _line(start: Point, segments: tuple[tuple[Point, Point, Point], ...], used: bool) -> Curve:
    return Curve(start, segments, "muted" if used else "faint", 1.6 if used else 1.2, dashed=not used)


def _dot(row: _Row, rail: float) -> Iterator[Shape]:
    node = row.node
    y = row.middle
    if node.kind == "join":
        yield Box(rail - 7, y - 7, 14, 14, 7, "ink" if node.active else "faint", 0.06, dashed=not node.active)
        sign = {"add": "+", "mul": "×", "cat": "⧺"}.get(node.name.strip("_").removeprefix("i"), "•")
        yield Words(rail, y, sign, 11, "ink" if node.active else "muted", "middle")
        return
    paint = "ink" if node.active else "faint"
    yield Box(rail - 4.5, y - 4.5, 9, 9, 4.5, paint, 0.35 if node.active else 0.1, 1.4, dashed=not node.active)


def _in_words(network: Network, values: Values) -> str:
    parts = []
    for node in network.nodes:
        if not node.active or node.kind in ("input", "output", "join"):
            continue
        chosen = [
            f"{label}: {', '.join(name for name, _, is_chosen in values.get(label, ()) if is_chosen) or 'none'}"
            for label in node.labels
        ]
        parts.append(f"{node.name} {node.text}".strip() + (f" ({'; '.join(chosen)})" if chosen else ""))
    left_out = sum(not node.active for node in network.nodes)
    more = f". Not in the child: {left_out} more" if left_out else ""
    return "; ".join(parts[:MOST_ROWS]) + more
