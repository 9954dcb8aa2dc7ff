"""``network.json`` of a run: what a child without cells is made of, for its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exports import Architecture, InputExample
from exports.network import write_network
from exports.network.tracing import trace_network
from snas_nni import SNAS
from trials.progress import Progress

__all__ = ["write_graph"]


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
    if architecture.cells:
        return
    try:
        write_network(folder, trace_network(strategy.supernet, strategy.distribution, sample, example))
    except Exception as error:  # whatever code of the space does in this pass, the child is found
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        progress.say(f"there is no picture of the network, its choices are listed: {reason[:200]}")
