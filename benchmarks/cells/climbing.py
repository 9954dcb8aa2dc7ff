"""From the cell that a search found to better ones, an edge at a time, by measures that no table is needed for.

A search with three cells cannot see what a network of fifteen needs: a path around the cell. Its cell is a good place
to start from (Den Ottelander et al., Local Search is a Remarkably Strong Baseline for NAS, EMO 2021).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.cells.judge import merits
from exports.pictures.graph import CellGraph
from search_spaces import NasBench201Space, from_arch_string, to_arch_string
from search_spaces.nasbench201 import NASBENCH201_OPERATIONS

__all__ = ["best_cell", "climb", "neighbors", "without_dead_edges"]


def neighbors(arch: str, edge: str) -> list[str]:
    """Cells that differ from one on an edge only.

    Args:
        arch: the benchmark's string.
        edge: a label, such as ``cell/edge_0_1``.
    """
    sample = from_arch_string(arch)
    others = [name for name in NASBENCH201_OPERATIONS if name != sample[edge]]
    return [to_arch_string({**sample, edge: name}) for name in others]


def without_dead_edges(arch: str) -> str:
    """The same network with ``none`` on every edge that no path from the cell's input to its output goes over.

    Args:
        arch: the benchmark's string.
    """
    cells = {}
    for name, edges in NasBench201Space.describe_cells(from_arch_string(arch)).items():
        graph = CellGraph.of(edges)
        live = {(edge.source, edge.target) for edge in graph.edges if graph.is_alive(edge)}
        cells[name] = [edge if (edge["from"], edge["to"]) in live else {**edge, "op": "none"} for edge in edges]
    return to_arch_string(NasBench201Space.sample_from_cells(cells))


def best_cell(cells: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The cell of the largest merit; of equal ones the most accurate.

    Args:
        cells: at least one, as from :func:`~benchmarks.cells.judge.judged`, with ``arch``.
    """
    each = zip(merits(cells), cells, strict=True)
    return max(each, key=lambda pair: (pair[0], pair[1]["held_out"]))[1]


def climb(start: str, measure: Callable[[str], Mapping[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """Measure the neighbors on one edge after the other of the best cell so far, until no edge has a better one.

    Cells that are the same network are measured once.

    Args:
        start: the benchmark's string.
        measure: of a cell, as :func:`~benchmarks.cells.judge.judged`.
        count: cells that are measured at most, the start among them.
        seed: of the order of the edges.

    Returns:
        The measured cells with ``arch``, in the order they were measured; :func:`best_cell` tells the found one.
    """
    found = {without_dead_edges(start): {"arch": start, **measure(start)}}
    edges = list(from_arch_string(start))
    random.Random(seed).shuffle(edges)
    best, unchanged = start, 0
    while unchanged < len(edges):
        edge = edges.pop(0)
        edges.append(edge)
        for arch in neighbors(best, edge):
            network = without_dead_edges(arch)
            if network not in found:
                if len(found) == count:
                    return list(found.values())
                found[network] = {"arch": arch, **measure(arch)}
        before, best = best, str(best_cell(list(found.values()))["arch"])
        unchanged = unchanged + 1 if best == before else 0
    return list(found.values())
