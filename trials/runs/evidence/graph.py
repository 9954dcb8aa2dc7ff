"""``network.json`` of a run: what a child without cells is made of, for its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import nn

from exports import Architecture, InputExample
from exports.architecture.space_reference import SpaceReference
from exports.network import write_network
from exports.network.tracing import trace_network
from snas_nni import SNAS
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from trials.progress import Progress

__all__ = ["write_graph", "write_graph_anew"]


def write_graph(
    folder: Path,
    architecture: Architecture,
    strategy: SNAS,
    sample: Mapping[str, Any],
    example: InputExample,
    progress: Progress,
) -> None:
    """Trace a child's network and write it; cells have pictures of their own.

    Args:
        folder: of the run.
        architecture: the child's record.
        strategy: with the supernet.
        sample: NNI sample of the child.
        example: what one input looks like.
        progress: told if the network cannot be traced, which costs a picture and nothing else.
    """
    _write(folder, architecture, lambda: (strategy.supernet, strategy.distribution), sample, example, progress)


def write_graph_anew(
    folder: Path,
    architecture: Architecture,
    space: ModelSpace,
    sample: Mapping[str, Any],
    example: InputExample,
    progress: Progress,
) -> None:
    """Trace the network of a child whose search is not at hand, and write it.

    Args:
        folder: of the run.
        architecture: the child's record.
        space: like the one that is traced, which is made anew; it may be without memory for weights.
        sample: NNI sample of the child.
        example: what one input looks like.
        progress: told if the network cannot be traced.
    """

    def searched() -> tuple[nn.Module, ArchitectureDistribution]:
        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(type(space)(**SpaceReference.of(space).arguments))
        return supernet, strategy.distribution

    with torch.random.fork_rng(devices=[]):
        _write(folder, architecture, searched, sample, example, progress)


def _write(
    folder: Path,
    architecture: Architecture,
    searched: Callable[[], tuple[nn.Module, ArchitectureDistribution]],
    sample: Mapping[str, Any],
    example: InputExample,
    progress: Progress,
) -> None:
    if architecture.cells:
        return
    try:
        write_network(folder, trace_network(*searched(), sample, example))
    except Exception as error:  # whatever code of the space does in this pass, the child is found
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        progress.say(f"there is no picture of the network, its choices are listed: {reason[:200]}")
