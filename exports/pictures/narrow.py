"""A cell for narrow screens: a line down for every node, a row for every edge, the operation's name beside it."""

from __future__ import annotations

from collections.abc import Iterator

from exports.pictures.graph import CellEdge, CellGraph
from exports.pictures.shapes import Box, Curve, Drawing, Polygon, Shape, Words, shorten
from exports.pictures.wide import ARROW, arrow_head, input_words

__all__ = ["narrow_drawing"]

WIDTH = 350.0
MARGIN, HEAD, ROW = 10.0, 70.0, 25.0
NAMES_WIDTH = 152.0
LONGEST_NAME = 15


def narrow_drawing(graph: CellGraph, title: str) -> Drawing:
    """Draw ``graph`` at the width of a phone, for any number of edges."""
    nodes = (*graph.inputs, *graph.nodes)
    step = (WIDTH - NAMES_WIDTH - 2 * MARGIN - 24) / max(len(nodes), 1)
    columns = {node: MARGIN + 14 + step * index for index, node in enumerate(nodes)}
    exit_column = MARGIN + 14 + step * len(nodes)
    bottom = HEAD + ROW * (len(graph.edges) + 1)
    shapes: list[Shape] = [Words(MARGIN, MARGIN + 8, shorten(title, 40), 14, bold=True)]
    for node, x in columns.items():
        shapes.append(_vertical(x, bottom, node in graph.alive))
    shapes.append(_vertical(exit_column, bottom, not graph.output_is_dead))
    for node, x in columns.items():
        shapes += _head(graph, node, x, min(step, 30.0))
    shapes.append(Words(exit_column, HEAD - 26, "out", 12, "ink", "middle"))
    for row, edge in enumerate(graph.edges):
        y = HEAD + ROW * (row + 0.5)
        shapes += _row(edge, columns[edge.source], columns[edge.target], y, graph.is_alive(edge))
    shapes += _output_row(graph, columns, exit_column, bottom - ROW / 2)
    return Drawing(WIDTH, bottom + MARGIN, tuple(shapes), title, graph.in_words())


def _vertical(x: float, bottom: float, alive: bool) -> Curve:
    top = HEAD - 12
    return Curve((x, top), (((x, top), (x, bottom), (x, bottom)),), "faint", 1.2, dashed=not alive)


def _head(graph: CellGraph, node: int, x: float, width: float) -> Iterator[Shape]:
    alive = node in graph.alive
    y = HEAD - 26
    if node in graph.inputs:
        yield from input_words(graph, node, (x, y), 13)
        return
    size = min(24.0, width - 2)
    paint = "ink" if alive else "faint"
    yield Box(x - size / 2, y - size / 2, size, size, size / 2, paint, 0.06, dashed=not alive, hint=f"Node {node}")
    yield Words(x, y, str(node), min(12.0, size / 2 + 2), "ink" if alive else "muted", "middle", bold=alive)


def _dot(x: float, y: float, paint: str) -> Polygon:
    far, near = 3.6, 2.6  # an octagon is round enough at this size
    around = ((-far, 0), (-near, -near), (0, -far), (near, -near), (far, 0), (near, near), (0, far), (-near, near))
    return Polygon(tuple((x + right, y + down) for right, down in around), paint)


def _row(edge: CellEdge, left: float, right: float, y: float, alive: bool) -> Iterator[Shape]:
    paint = edge.family if alive else "faint"
    end = right - ARROW + 1
    yield Curve((left, y), (((left, y), (end, y), (end, y)),), paint, 2, dashed=not alive)
    yield _dot(left, y, paint)
    yield arrow_head((right, y), paint)
    x = WIDTH - MARGIN - NAMES_WIDTH
    tint = 0.14 if alive else 0.05
    yield Box(x, y - 10, NAMES_WIDTH, 20, 6, paint, tint, dashed=not alive, hint=str(edge))
    yield Words(x + 8, y, shorten(edge.operation, LONGEST_NAME), 12, "ink" if alive else "muted", mono=True)
    if edge.probability is not None:
        yield Words(WIDTH - MARGIN - 8, y, f"{edge.probability:.2f}", 11, "muted", "end", mono=True)


def _output_row(graph: CellGraph, columns: dict[int, float], right: float, y: float) -> Iterator[Shape]:
    paint = "faint" if graph.output_is_dead else "muted"
    left = min(columns[node] for node in graph.outputs)
    end = right - ARROW + 1
    yield Curve((left, y), (((left, y), (end, y), (end, y)),), paint, 1.4, dashed=graph.output_is_dead)
    for node in graph.outputs:
        yield _dot(columns[node], y, "muted" if node in graph.alive else "faint")
    yield arrow_head((right, y), paint)
    words = "concat" if len(graph.outputs) > 1 else "output"
    yield Words(WIDTH - MARGIN - NAMES_WIDTH + 8, y, words, 12, "muted")
