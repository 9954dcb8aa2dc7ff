"""The searchable cell of SNAS: a directed acyclic graph, one choice of operation per edge (paper, 2.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from nni.mutable import label_scope
from nni.nas.nn.pytorch import LayerChoice
from torch import Tensor, nn

from .edges import each_edge_pair
from .operations import FactorizedReduce, ReLUConvBN, build_operations
from .shared import shared_work

__all__ = ["CELL_INPUTS", "SnasCell"]

CELL_INPUTS: Final = 2
"""A cell reads the outputs of the two cells before it: they are nodes 0 and 1, computing nodes start at 2."""


class SnasCell(nn.Module):
    """One cell: two inputs, ``nodes`` computing nodes, their concatenation as output.

    Node ``j`` is the sum of the chosen operations on the edges from **every** earlier node. The choice on
    edge ``i -> j`` has the label ``normal/edge_i_j`` or ``reduction/edge_i_j``: all cells of a type share
    their choices. In a reduction cell the edges that leave the two inputs have stride 2.

    Args:
        channels_before_last: channels of the output of the cell two steps back, at least 1.
        channels_last: channels of the output of the previous cell, at least 1.
        channels: channels of every node of this cell, at least 1; even next to a reduction.
        reduction: whether this cell halves height and width.
        after_reduction: whether the previous cell did, so that input 0 has twice the side of input 1.
        nodes: computing nodes, at least 1.
        affine: whether the BatchNorm layers have weight and bias.
        pool_norm: whether BatchNorm follows a pooling.
    """

    def __init__(
        self,
        channels_before_last: int,
        channels_last: int,
        channels: int,
        *,
        reduction: bool,
        after_reduction: bool,
        nodes: int = 4,
        affine: bool = False,
        pool_norm: bool = True,
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.cell_type = "reduction" if reduction else "normal"
        self.out_channels = nodes * channels
        self.preprocess0: nn.Module
        if after_reduction:
            self.preprocess0 = FactorizedReduce(channels_before_last, channels, affine)
        else:
            self.preprocess0 = ReLUConvBN(channels_before_last, channels, affine=affine)
        self.preprocess1 = ReLUConvBN(channels_last, channels, affine=affine)
        self.edges = nn.ModuleDict()
        # A label may not contain a slash; the scope puts the cell type before it.
        with label_scope(self.cell_type):
            for source, target in each_edge_pair(CELL_INPUTS, nodes):
                stride = 2 if reduction and source < CELL_INPUTS else 1
                candidates = build_operations(channels, stride, affine, pool_norm)
                name = f"edge_{source}_{target}"
                self.edges[name] = LayerChoice(candidates, label=name)

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        """Run the cell.

        Args:
            before_last: ``(batch, channels_before_last, h, w)``; ``(.., 2h, 2w)`` after a reduction cell.
            last: ``(batch, channels_last, h, w)``.

        Returns:
            ``(batch, nodes * channels, h, w)``; ``(.., ceil(h / 2), ceil(w / 2))`` from a reduction cell.
            A node whose edges are all the zero operation is zeros.
        """
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        with shared_work():
            for target in range(CELL_INPUTS, CELL_INPUTS + self.nodes):
                edges = [self.edges[f"edge_{source}_{target}"] for source in range(target)]
                states.append(sum_of_edges(edges, states))
        return torch.cat(states[CELL_INPUTS:], dim=1)


def sum_of_edges(edges: Iterable[nn.Module], inputs: Iterable[Tensor]) -> Tensor:
    """Return the sum of ``edge(input)`` over the pairs; all must have one shape, and there is at least one.

    Edges that are the zero operation (``is_zero``) do not run, unless there is nothing else to give the
    shape. Terms are added one by one: a stack would hold a copy of all of them.
    """
    pairs = list(zip(edges, inputs, strict=True))
    live = [pair for pair in pairs if not getattr(pair[0], "is_zero", False)] or pairs[:1]
    total: Tensor | None = None
    for edge, x in live:
        total = edge(x) if total is None else total + edge(x)
    if total is None:
        raise ValueError("a node needs at least one incoming edge")
    return total
