"""Writes the paper's cells as architecture files: ``python -m benchmarks.published_files exports/published``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from exports import Architecture, save
from search_spaces import SnasCellSpace
from search_spaces.cell import CELL_INPUTS
from search_spaces.edges import edge_pairs
from snas_nni.derivation.child import build_child

__all__ = ["LIVE_EDGES", "published_architecture", "write_published"]

_NODES: Final = 4
RETRAINED_ON_CIFAR10: Final[Mapping[str, Any]] = {"channels": 36, "cells": 20, "affine": True}
LIVE_EDGES: Final[Mapping[str, Mapping[str, str]]] = {
    "mild": {
        "normal": "0-2 sep_conv_3x3, 1-2 sep_conv_3x3, 0-3 skip_connect, 1-3 dil_conv_3x3, "
        "0-4 skip_connect, 1-4 skip_connect, 0-5 skip_connect, 1-5 sep_conv_3x3",
        "reduction": "0-2 max_pool_3x3, 1-2 max_pool_3x3, 1-3 max_pool_3x3, 2-3 skip_connect, "
        "1-4 max_pool_3x3, 2-4 skip_connect, 0-5 max_pool_3x3, 2-5 dil_conv_5x5",
    },
    "moderate": {
        "normal": "0-2 dil_conv_5x5, 1-2 skip_connect, 0-3 sep_conv_3x3, 1-3 skip_connect, "
        "0-4 skip_connect, 1-4 skip_connect, 0-5 sep_conv_3x3, 1-5 dil_conv_5x5",
        "reduction": "0-2 max_pool_3x3, 1-2 max_pool_3x3, 0-3 sep_conv_5x5, 1-3 dil_conv_5x5, "
        "0-4 sep_conv_5x5, 1-4 sep_conv_5x5, 0-5 sep_conv_5x5, 1-5 sep_conv_5x5",
    },
    "aggressive": {
        "normal": "0-2 sep_conv_5x5, 1-2 skip_connect, 0-3 skip_connect, 1-3 skip_connect, "
        "0-4 skip_connect, 1-4 dil_conv_5x5, 0-5 skip_connect, 1-5 dil_conv_5x5",
        "reduction": "0-2 sep_conv_5x5, 0-3 sep_conv_5x5",
    },
}
"""``from-to operation`` of the edges that are not the zero operation (paper, section 3; its code's genotypes)."""


def published_architecture(level: str) -> Architecture:
    """Return the record of a published network at its size for CIFAR-10, without weights.

    The versions of the installed software are left out: they did not make the cells, and the same cells shall
    give the same file everywhere.

    Args:
        level: a key of ``LIVE_EDGES``.
    """
    sample = SnasCellSpace.sample_from_cells({kind: _all_edges(live) for kind, live in LIVE_EDGES[level].items()})
    record = Architecture.create(
        space=SnasCellSpace(**RETRAINED_ON_CIFAR10),
        sample=sample,
        child=build_child(SnasCellSpace, RETRAINED_ON_CIFAR10, sample),
        settings={"paper": "SNAS, ICLR 2019, arXiv 1812.09926", "resource_constraint": level},
    )
    return replace(record, versions={})


def write_published(folder: Path) -> list[Path]:
    """Write ``LEVEL.json`` for every level into ``folder`` and return the paths.

    Raises:
        ArchitectureFileError: a file cannot be written.
    """
    paths = [folder / f"{level}.json" for level in LIVE_EDGES]
    for path in paths:
        save(published_architecture(path.stem), path)
    return paths


def _all_edges(live: str) -> list[dict[str, Any]]:
    operations = dict(entry.split() for entry in live.split(", "))
    return [
        {"from": source, "to": target, "op": operations.get(f"{source}-{target}", "none")}
        for source, target in edge_pairs(CELL_INPUTS, _NODES)
    ]


if __name__ == "__main__":
    for written in write_published(Path(sys.argv[1])):
        print(written)
