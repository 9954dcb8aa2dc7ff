"""Where things are in the picture of a cell: columns of nodes, and between them columns of operations.

Every edge is a chain of items, one in each column that it passes: its operation's name in one of them, an empty
place in the others. Items of a column never overlap, so no line runs through a name. Columns are put in an order
with few crossings (barycentres), then items are moved towards their neighbours' heights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from exports.pictures.graph import CellEdge, CellGraph

__all__ = ["OUTPUT", "Chain", "Item", "Layout", "lay_out"]

OUTPUT = -1
"""Stands for the cell's output among the node numbers."""

NODE_HEIGHT, OPERATION_HEIGHT, PASSAGE_HEIGHT = 32.0, 22.0, 8.0
SPACE = 8.0
SWEEPS = 24
LINE_WEIGHT = 6


@dataclass(eq=False)
class Item:
    """Something with a height in a column: a node, an operation, or a line that passes."""

    column: int
    kind: str
    height: float
    y: float = 0.0
    place: int = 0


@dataclass(frozen=True)
class Chain:
    """An edge's way through the columns; ``edge`` is None on the way from a node to the output."""

    items: tuple[Item, ...]
    edge: CellEdge | None
    source: int


@dataclass(frozen=True)
class Layout:
    """Columns of items from left to right, nodes in the even ones; ``height`` is that of all."""

    columns: tuple[tuple[Item, ...], ...]
    nodes: dict[int, Item]
    chains: tuple[Chain, ...]
    height: float


def lay_out(graph: CellGraph) -> Layout:
    """Place the nodes and edges of a cell. The same cell is always placed the same."""
    depth = _depths(graph)
    last = 2 * (max(depth[node] for node in graph.nodes) + 1)
    nodes = {node: Item(2 * depth[node], "node", NODE_HEIGHT) for node in (*graph.inputs, *graph.nodes)}
    nodes[OUTPUT] = Item(last, "node", NODE_HEIGHT)
    chains = _chains(graph, nodes)
    columns: list[list[Item]] = [[] for _ in range(last + 1)]
    for item in [*nodes.values(), *(item for chain in chains for item in chain.items[1:-1])]:
        columns[item.column].append(item)
    _order(columns, chains)
    height = _place(columns, chains)
    return Layout(tuple(map(tuple, columns)), nodes, tuple(chains), height)


def _depths(graph: CellGraph) -> dict[int, int]:
    depth = dict.fromkeys(graph.inputs, 0) | dict.fromkeys(graph.nodes, 1)
    for edge in graph.edges:  # sorted by target
        depth[edge.target] = max(depth[edge.target], depth[edge.source] + 1)
    return depth


def _chains(graph: CellGraph, nodes: dict[int, Item]) -> list[Chain]:
    """Make the edges' chains; names go where fewest are so far, short edges first as they have least choice."""
    names: dict[int, int] = {}
    chains: list[Chain] = []

    def passing(source: Item, target: Item, named: int | None) -> tuple[Item, ...]:
        between = range(source.column + 1, target.column)
        kinds = ["operation" if column == named else "passage" for column in between]
        heights = {"operation": OPERATION_HEIGHT, "passage": PASSAGE_HEIGHT}
        own = [Item(column, kind, heights[kind]) for column, kind in zip(between, kinds, strict=True)]
        return (source, *own, target)

    for edge in sorted(graph.edges, key=lambda edge: nodes[edge.target].column - nodes[edge.source].column):
        source, target = nodes[edge.source], nodes[edge.target]
        gaps = range(target.column - 1, source.column, -2)
        named = min(gaps, key=lambda gap: names.get(gap, 0))
        names[named] = names.get(named, 0) + 1
        chains.append(Chain(passing(source, target, named), edge, edge.source))
    for node in graph.outputs:
        chains.append(Chain(passing(nodes[node], nodes[OUTPUT], None), None, node))
    return chains


def _neighbours(chains: Sequence[Chain]) -> dict[Item, tuple[list[Item], list[Item]]]:
    found: dict[Item, tuple[list[Item], list[Item]]] = {}
    for chain in chains:
        for left, right in pairwise(chain.items):
            found.setdefault(left, ([], []))[1].append(right)
            found.setdefault(right, ([], []))[0].append(left)
    return found


def _order(columns: list[list[Item]], chains: Sequence[Chain]) -> None:
    """Sort the items of every column so that few lines cross."""
    neighbours = _neighbours(chains)
    _number(columns)
    best, order = _crossings(chains), [list(column) for column in columns]
    for sweep in range(SWEEPS):
        side = sweep % 2
        for column in columns if side == 0 else reversed(columns):
            ranks = {item: _mean([n.place for n in neighbours.get(item, ([], []))[side]]) for item in column}
            column.sort(key=lambda item, ranks=ranks: item.place if ranks[item] is None else ranks[item])  # type: ignore[misc]
            for place, item in enumerate(column):
                item.place = place
        crossings = _crossings(chains)
        if crossings < best:
            best, order = crossings, [list(column) for column in columns]
    columns[:] = order
    _number(columns)


def _number(columns: list[list[Item]]) -> None:
    for column in columns:
        for place, item in enumerate(column):
            item.place = place


def _crossings(chains: Sequence[Chain]) -> int:
    steps: dict[int, list[tuple[int, int]]] = {}
    for chain in chains:
        for left, right in pairwise(chain.items):
            steps.setdefault(left.column, []).append((left.place, right.place))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for step in steps.values()
        for index, a in enumerate(step)
        for b in step[:index]
    )


def _place(columns: list[list[Item]], chains: Sequence[Chain]) -> float:
    """Give every item its height; return that of the whole."""
    neighbours = _neighbours(chains)
    for column in columns:
        _settle(column, [0.0] * len(column))
    for sweep in range(2 * SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted: list[float | None] = []
            for item in column:
                around = [n for side in neighbours.get(item, ([], [])) for n in side]
                # Two places of one line weigh more: long lines become straight.
                heavy = [n for n in around if n.kind != "node" and item.kind != "node"]
                wanted.append(_mean([n.y for n in (*around, *(heavy * LINE_WEIGHT))]))
            # What nothing leads to, such as an unused input, stays with the rest of its column.
            somewhere = _mean([want for want in wanted if want is not None]) or 0.0
            _settle(column, [somewhere if want is None else want for want in wanted])
    top = min(item.y - item.height / 2 for column in columns for item in column)
    for column in columns:
        for item in column:
            item.y -= top
    return max(item.y + item.height / 2 for column in columns for item in column)


def _settle(column: Sequence[Item], wanted: Sequence[float]) -> None:
    """Move items as near to where they want to be as their order and heights allow (least squares)."""
    offset, offsets = 0.0, [0.0]
    for above, below in pairwise(column):
        offset += (above.height + below.height) / 2 + SPACE
        offsets.append(offset)
    groups: list[tuple[float, int]] = []  # mean and size of runs that have pushed together
    for want, shift in zip(wanted, offsets, strict=False):
        mean, size = want - shift, 1
        while groups and groups[-1][0] > mean:
            before, count = groups.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        groups.append((mean, size))
    settled = [mean for mean, size in groups for _ in range(size)]
    for item, base, shift in zip(column, settled, offsets, strict=False):
        item.y = base + shift


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
