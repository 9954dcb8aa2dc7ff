"""The strings by which NAS-Bench-201 names an architecture.

``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|``: nodes 1, 2, 3 joined by ``+``;
for each, between bars, the operation on the edge from every earlier node and that node's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .edges import edge_label
from .nasbench201 import CELL_TYPE, FIRST_NODE, NASBENCH201_OPERATIONS, NODES, NasBench201Space

__all__ = ["from_arch_string", "to_arch_string"]


def to_arch_string(sample: Mapping[str, Any]) -> str:
    """Write a sample of :class:`NasBench201Space` as the benchmark does.

    Raises:
        ValueError: ``sample`` is not one of that space.
    """
    edges = NasBench201Space.describe_cells(sample)[CELL_TYPE]
    targets = range(FIRST_NODE, FIRST_NODE + NODES)
    parts = [[f"{edge['op']}~{edge['from']}" for edge in edges if edge["to"] == target] for target in targets]
    return "+".join(f"|{'|'.join(part)}|" for part in parts)


def from_arch_string(text: str) -> dict[str, str]:
    """Read a benchmark string; return the sample ``{"cell/edge_0_1": operation, ...}``.

    Raises:
        ValueError: ``text`` is malformed; the message says what is wrong and at which character.
    """
    parts = text.split("+")
    if len(parts) != NODES:
        raise ValueError(f"architecture {text!r}: {len(parts)} nodes joined by '+', expected {NODES}")
    sample: dict[str, str] = {}
    start = 0
    for target, part in enumerate(parts, start=FIRST_NODE):
        if len(part) < 2 or not part.startswith("|") or not part.endswith("|"):
            raise ValueError(_malformed(text, start, f"node {target} is {part!r}, expected bars around it"))
        tokens = part[1:-1].split("|")
        if len(tokens) != target:
            raise ValueError(_malformed(text, start, f"node {target} has {len(tokens)} edges, expected {target}"))
        position = start + 1
        for source, token in enumerate(tokens):
            operation, tilde, number = token.partition("~")
            where = f"node {target}, edge {source}"
            if not tilde or number != str(source):
                raise ValueError(_malformed(text, position, f"{where} is {token!r}, expected 'operation~{source}'"))
            if operation not in NASBENCH201_OPERATIONS:
                known = ", ".join(NASBENCH201_OPERATIONS)
                problem = f"{where} has the unknown operation {operation!r}; known are {known}"
                raise ValueError(_malformed(text, position, problem))
            sample[edge_label(CELL_TYPE, source, target)] = operation
            position += len(token) + 1
        start += len(part) + 1
    return sample


def _malformed(text: str, position: int, problem: str) -> str:
    return f"architecture {text!r}, at character {position}: {problem}"
