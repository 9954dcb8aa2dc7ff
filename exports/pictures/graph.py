"""What there is to draw in a cell: nodes, edges that run, and which of them matter to the output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exports.errors import ArchitectureFileError
from exports.pictures.palette import family_of

__all__ = ["CellEdge", "CellGraph"]

MOST_EDGES = 400
MOST_UNNAMED_NODES = 64


@dataclass(frozen=True)
class CellEdge:
    """An operation between two nodes; ``probability`` is None where it is not known."""

    source: int
    target: int
    operation: str
    probability: float | None

    @property
    def family(self) -> str:
        """Family of the operation, which decides the color."""
        return family_of(self.operation)

    def __str__(self) -> str:
        probability = "" if self.probability is None else f", probability {self.probability:.2f}"
        return f"{self.source} to {self.target}: {self.operation}{probability}"


@dataclass(frozen=True)
class CellGraph:
    """A cell without its zero operations.

    Attributes:
        inputs: nodes that come from outside.
        nodes: nodes that are computed.
        edges: operations other than zero.
        outputs: nodes whose values leave the cell.
        alive: nodes, inputs included, that lie on a path from an input to an output.
    """

    inputs: tuple[int, ...]
    nodes: tuple[int, ...]
    edges: tuple[CellEdge, ...]
    outputs: tuple[int, ...]
    alive: frozenset[int]

    @classmethod
    def of(cls, edges: Iterable[Mapping[str, Any]], outputs: Iterable[int] | None = None) -> CellGraph:
        """Read the edges of one cell of an architecture record.

        Args:
            edges: ``{"from", "to", "op", "probability"?}`` each; zero operations may be among them or left out.
            outputs: nodes that leave the cell. Where it is not given, a cell of one input ends in its last node,
                as in NAS-Bench-201, and any other concatenates all that it computes.

        Raises:
            ArchitectureFileError: an edge does not lead from a node to a later one, or there are too many.
        """
        every = [CellEdge(e["from"], e["to"], str(e["op"]), e.get("probability")) for e in edges]
        if not every or len(every) > MOST_EDGES:
            raise ArchitectureFileError("cells", f"a cell with {len(every)} edges cannot be drawn", "Read it as a list")
        for edge in every:
            if not 0 <= edge.source < edge.target:
                raise ArchitectureFileError(
                    "cells", f"edge {edge.source} -> {edge.target} does not lead forward", "Number nodes in their order"
                )
        first = min(edge.target for edge in every)
        named = {node for edge in every for node in (edge.source, edge.target)}
        if max(named) <= MOST_UNNAMED_NODES:  # nodes without an edge exist too
            named |= set(range(max(named) + 1))
        inputs = tuple(sorted(node for node in named if node < first))
        nodes = tuple(sorted(node for node in named if node >= first))
        live = tuple(
            sorted(
                (edge for edge in every if edge.family != "zero"),
                key=lambda edge: (edge.target, edge.source, edge.operation),
            )
        )
        if outputs is None:
            outputs = nodes[-1:] if len(inputs) == 1 else nodes
        outputs = tuple(outputs)
        return cls(inputs, nodes, live, outputs, _on_a_path(live, inputs, outputs))

    def is_alive(self, edge: CellEdge) -> bool:
        """Whether the edge carries something from an input to the output."""
        return edge.source in self.alive and edge.target in self.alive

    @property
    def dead_nodes(self) -> tuple[int, ...]:
        """Computed nodes that nothing reaches, or that lead nowhere."""
        return tuple(node for node in self.nodes if node not in self.alive)

    @property
    def unused_inputs(self) -> tuple[int, ...]:
        """Inputs that the output does not depend on."""
        return tuple(node for node in self.inputs if node not in self.alive)

    @property
    def output_is_dead(self) -> bool:
        """Whether the output does not depend on any input."""
        return not any(node in self.alive for node in self.outputs)

    def input_name(self, node: int) -> tuple[str, str]:
        """Return the name of an input and its subscript; the last of two inputs is the previous cell's output."""
        if len(self.inputs) == 1:
            return "input", ""
        if len(self.inputs) == 2:
            return "c", f"k-{2 - self.inputs.index(node)}"
        return "input", str(node)

    def in_words(self) -> str:
        """Describe the cell for those who cannot see it."""
        parts = (
            [f"{len(self.edges)} operations: " + "; ".join(map(str, self.edges))] if self.edges else ["No operation"]
        )
        if self.unused_inputs:
            parts.append(f"Unused inputs: {', '.join(map(str, self.unused_inputs))}")
        if self.dead_nodes:
            parts.append(f"Dead nodes: {', '.join(map(str, self.dead_nodes))}")
        return ". ".join(parts) + "."


def _on_a_path(edges: Iterable[CellEdge], inputs: Iterable[int], outputs: Iterable[int]) -> frozenset[int]:
    fed, heard = set(inputs), set(outputs)
    ordered = sorted(edges, key=lambda edge: edge.source)
    for edge in ordered:  # by source, which is the order in which nodes are computed
        if edge.source in fed:
            fed.add(edge.target)
    for edge in sorted(ordered, key=lambda edge: -edge.target):
        if edge.target in heard:
            heard.add(edge.source)
    return frozenset(fed & heard)
