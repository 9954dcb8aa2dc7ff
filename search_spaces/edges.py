"""The edges of a cell in three forms: label of a choice, NNI sample, list of ``{from, to, op}``.

A cell has the nodes ``0, 1, ...``; the nodes before ``first_node`` are its inputs, and every later node has
one edge from each node before it. Edges are listed by (to, from).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypedDict

__all__ = [
    "Edge",
    "describe_edges",
    "each_edge_pair",
    "edge_label",
    "edge_pairs",
    "reject_other_labels",
    "sample_from_edges",
]

Edge = TypedDict("Edge", {"from": int, "to": int, "op": str})
"""One edge of a chosen cell: source node, target node, name of the operation."""

MISSING_SHOWN = 20
_LABEL = re.compile(r"(?P<cell_type>.+)/edge_(?P<source>\d+)_(?P<target>\d+)")


def edge_label(cell_type: str, source: int, target: int) -> str:
    """Return the label of the choice on an edge, such as ``normal/edge_0_2``."""
    return f"{cell_type}/edge_{source}_{target}"


def edge_pairs(first_node: int, nodes: int) -> list[tuple[int, int]]:
    """List the (source, target) pairs of ``nodes`` computing nodes, by (target, source)."""
    return list(each_edge_pair(first_node, nodes))


def each_edge_pair(first_node: int, nodes: int) -> Iterator[tuple[int, int]]:
    """Go through what :func:`edge_pairs` lists: a file may ask for so many nodes that no memory holds the list."""
    return ((source, target) for target in range(first_node, first_node + nodes) for source in range(target))


def reject_other_labels(sample: Mapping[str, Any], cell_types: Collection[str]) -> None:
    """Raise ValueError if a label of ``sample`` is not that of an edge of one of the ``cell_types``."""
    for label in sample:
        match = _LABEL.fullmatch(label)
        if match is None or match["cell_type"] not in cell_types:
            expected = " or ".join(edge_label(cell_type, 0, 2) for cell_type in cell_types)
            raise ValueError(f"label {label!r} is not an edge of this space; labels look like {expected}")


def describe_edges(
    sample: Mapping[str, Any], cell_type: str, first_node: int, operations: Collection[str]
) -> list[Edge]:
    """Return the edges of ``cell_type`` in ``sample``, sorted by (to, from); none at all gives an empty list.

    Raises:
        ValueError: an edge has no entry, or its value is not among ``operations``.
    """
    matches = [match for match in map(_LABEL.fullmatch, sample) if match and match["cell_type"] == cell_type]
    edges: list[Edge] = [
        {"from": int(match["source"]), "to": int(match["target"]), "op": sample[match.string]} for match in matches
    ]
    return _complete(edges, cell_type, first_node, operations)


def sample_from_edges(
    edges: Iterable[Mapping[str, Any]], cell_type: str, first_node: int, operations: Collection[str]
) -> dict[str, str]:
    """Return the NNI sample ``{label: operation}`` of a list of edges, in any order.

    Raises:
        ValueError: an edge is missing, is there twice or cannot be, lacks a key, or has an unknown operation.
    """
    read: list[Edge] = []
    for edge in edges:
        if not isinstance(edge, Mapping) or set(edge) != {"from", "to", "op"}:
            raise ValueError(f"{cell_type} cell: an edge must have exactly the keys from, to, op; this one is {edge!r}")
        read.append({"from": edge["from"], "to": edge["to"], "op": edge["op"]})
    return {
        edge_label(cell_type, edge["from"], edge["to"]): edge["op"]
        for edge in _complete(read, cell_type, first_node, operations)
    }


def _complete(edges: list[Edge], cell_type: str, first_node: int, operations: Collection[str]) -> list[Edge]:
    """Return ``edges`` sorted by (to, from) after checking that they are all the edges of a cell."""
    by_pair: dict[tuple[int, int], Edge] = {}
    for edge in edges:
        source, target, operation = edge["from"], edge["to"], edge["op"]
        where = f"{cell_type} cell, edge {source!r} -> {target!r}"
        if type(source) is not int or type(target) is not int or not 0 <= source < target:
            raise ValueError(f"{where}: from and to must be whole numbers with 0 <= from < to")
        if target < first_node:
            raise ValueError(f"{where}: node {target} is an input of the cell; to must be at least {first_node}")
        if operation not in operations:
            raise ValueError(f"{where}: unknown operation {operation!r}; known are {', '.join(operations)}")
        if (source, target) in by_pair:
            raise ValueError(f"{where}: is given twice")
        by_pair[source, target] = edge
    if not by_pair:
        return []
    nodes = max(target for _, target in by_pair) - first_node + 1
    if nodes > len(by_pair):  # checked before listing edges: a file may claim any node number
        raise ValueError(f"{cell_type} cell: {len(by_pair)} edges do not reach all of its {nodes} computing nodes")
    absent = (pair for pair in each_edge_pair(first_node, nodes) if pair not in by_pair)
    missing = [f"{source} -> {target}" for source, target in islice(absent, MISSING_SHOWN)]
    if missing:
        raise ValueError(
            f"{cell_type} cell with {nodes} nodes: no operation given for edge {', '.join(missing)}; "
            "an edge without connection has the operation none"
        )
    return [by_pair[pair] for pair in edge_pairs(first_node, nodes)]
