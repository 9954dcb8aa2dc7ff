"""A cell as a graph: inputs on the left, an operation's name on every edge, the output on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exports.pictures.graph import CellEdge, CellGraph
from exports.pictures.layout import OUTPUT, Chain, Item, Layout, lay_out
from exports.pictures.shapes import Box, Curve, Drawing, Point, Polygon, Shape, Words, monospaced_width, shorten

__all__ = ["ARROW", "arrow_head", "input_words", "wide_drawing"]

MARGIN = 12.0
TITLE_HEIGHT = 30.0
NODE_WIDTH, END_WIDTH = 32.0, 52.0
BEND = 30.0
NAME_SIZE = 12.0
LONGEST_NAME = 24
ARROW = 7.0


def wide_drawing(graph: CellGraph, title: str) -> Drawing:
    """Draw ``graph`` from left to right."""
    layout = lay_out(graph)
    lefts, widths, right = _columns(layout)
    top = MARGIN + TITLE_HEIGHT
    centres = {
        item: (lefts[item.column] + widths[item.column] / 2, top + item.y)
        for column in layout.columns
        for item in column
    }
    shapes: list[Shape] = [Words(MARGIN, MARGIN + 8, shorten(title, 60), 14, bold=True)]
    # Lines to the output first and dead ones before living ones: what matters lies on top.
    chains = sorted(layout.chains, key=lambda chain: (chain.edge is not None, _is_alive(graph, chain)))
    for chain in chains:
        shapes += _line(graph, chain, widths, centres)
    for chain in chains:
        for item in chain.items:
            if item.kind == "operation" and chain.edge is not None:
                shapes += _name(chain.edge, centres[item], graph.is_alive(chain.edge))
    for node, item in layout.nodes.items():
        shapes += _node(graph, node, centres[item])
    return Drawing(right + MARGIN, top + layout.height + MARGIN, tuple(shapes), title, graph.in_words())


def _columns(layout: Layout) -> tuple[list[float], list[float], float]:
    """Return left edges and widths of the columns, and the right edge of the last one."""
    lefts, widths, x = [], [], MARGIN
    last = len(layout.columns) - 1
    for column in range(last + 1):
        if column % 2 == 0:
            width = END_WIDTH if column in (0, last) else NODE_WIDTH
        else:
            names = [
                _name_width(chain.edge)
                for chain in layout.chains
                for item in chain.items
                if chain.edge is not None and item.column == column and item.kind == "operation"
            ]
            x += BEND
            width = max(names, default=BEND / 2)
        lefts.append(x)
        widths.append(width)
        x += width + (BEND if column % 2 else 0)
    return lefts, widths, x


def _name_parts(edge: CellEdge) -> tuple[str, str]:
    return shorten(edge.operation, LONGEST_NAME), "" if edge.probability is None else f"{edge.probability:.2f}"


def _name_width(edge: CellEdge) -> float:
    name, probability = _name_parts(edge)
    between = 7 if probability else 0
    return monospaced_width(name, NAME_SIZE) + between + monospaced_width(probability, NAME_SIZE - 1) + 16


def _is_alive(graph: CellGraph, chain: Chain) -> bool:
    return chain.source in graph.alive if chain.edge is None else graph.is_alive(chain.edge)


def _line(graph: CellGraph, chain: Chain, widths: Sequence[float], centres: Mapping[Item, Point]) -> Iterator[Shape]:
    alive = _is_alive(graph, chain)
    paint = (chain.edge.family if chain.edge is not None else "muted") if alive else "faint"
    points: list[Point] = []
    for item in chain.items:
        x, y = centres[item]
        half = widths[item.column] / 2
        if item.kind == "node":
            half = (NODE_WIDTH if 0 < item.column < len(widths) - 1 else END_WIDTH) / 2
        points += [(x - half, y), (x + half, y)]
    start, *points = points[1:-1]
    end = points[-1]
    points[-1] = (end[0] - ARROW + 1, end[1])
    segments, at = [], start
    for point in points:
        middle = (at[0] + point[0]) / 2
        segments.append(((middle, at[1]), (middle, point[1]), point))
        at = point
    yield Curve(start, tuple(segments), paint, 1.8 if chain.edge else 1.2, dashed=not alive)
    yield arrow_head(end, paint)


def arrow_head(tip: Point, paint: str) -> Polygon:
    """Return an arrow head that points right."""
    x, y = tip
    return Polygon(((x, y), (x - ARROW, y - 3.6), (x - ARROW, y + 3.6)), paint)


def _name(edge: CellEdge, centre: Point, alive: bool) -> Iterator[Shape]:
    width, height = _name_width(edge), 20.0
    x, y = centre
    left = x - width / 2
    name, probability = _name_parts(edge)
    paint = edge.family if alive else "faint"
    yield Box(left, y - height / 2, width, height, 6, paint, 0.14 if alive else 0.05, dashed=not alive, hint=str(edge))
    yield Words(left + 8, y, name, NAME_SIZE, "ink" if alive else "muted", mono=True)
    if probability:
        yield Words(left + width - 8, y, probability, NAME_SIZE - 1, "muted", "end", mono=True)


def _node(graph: CellGraph, node: int, centre: Point) -> Iterator[Shape]:
    x, y = centre
    if node == OUTPUT:
        dead = graph.output_is_dead
        yield _end_box(x, y, dead, "Output of the cell" + (": always zero" if dead else ""))
        words = "concat" if len(graph.outputs) > 1 else "output"
        yield Words(x, y, words, 12, "muted" if dead else "ink", "middle")
        return
    alive = node in graph.alive
    if node in graph.inputs:
        yield _end_box(x, y, not alive, f"Input {node}" + ("" if alive else ": unused"))
        yield from input_words(graph, node, (x, y), 14)
        return
    radius = NODE_WIDTH / 2
    hint = f"Node {node}" + ("" if alive else ": dead")
    paint = "ink" if alive else "faint"
    yield Box(x - radius, y - radius, 2 * radius, 2 * radius, radius, paint, 0.06, dashed=not alive, hint=hint)
    yield Words(x, y, str(node), 14, "ink" if alive else "muted", "middle", bold=alive)


def _end_box(x: float, y: float, dead: bool, hint: str) -> Box:
    paint = "faint" if dead else "ink"
    return Box(x - END_WIDTH / 2, y - 14, END_WIDTH, 28, 8, paint, 0.06, dashed=dead, hint=hint)


def input_words(graph: CellGraph, node: int, centre: Point, size: float) -> Iterator[Shape]:
    """Write the name of an input, with its subscript lowered."""
    name, subscript = graph.input_name(node)
    x, y = centre
    paint = "ink" if node in graph.alive else "muted"
    if name != "c":
        yield Words(x, y, f"{name} {subscript}".strip(), size - 2, paint, "middle")
        return
    small = size * 0.72
    shift = monospaced_width(subscript, small) / 2 - 1
    yield Words(x - shift, y - 1, name, size, paint, "end", bold=node in graph.alive)
    yield Words(x - shift + 1, y + 4, subscript, small, paint)
