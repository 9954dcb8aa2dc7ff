"""The space of NAS-Bench-201 (Dong and Yang, ICLR 2020): every architecture's accuracy is known.

NNI's hub has the same space. This one differs in its zero operation (real zeros, see ``operations.Zero``),
sums edges without a stack, takes the number of image channels, and speaks the benchmark's names and strings.
The residual blocks between the stages are NNI's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nni.mutable import label_scope
from nni.nas.hub.pytorch.nasbench201 import ResNetBasicblock
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn
from torch.nn import functional

from ._arguments import check_choice, check_flag, check_whole_number
from .cell import sum_of_edges
from .checkpointing import run_checkpointed
from .edges import Edge, describe_edges, edge_pairs, reject_other_labels, sample_from_edges
from .operations import ReLUConvBN, Zero

__all__ = ["NASBENCH201_OPERATIONS", "NasBench201Cell", "NasBench201Space"]

CELL_TYPE: Final = "cell"
FIRST_NODE: Final = 1
NODES: Final = 3
"""Computing nodes: with the input the benchmark's cell has four nodes and six edges."""

NASBENCH201_OPERATIONS: Final[Mapping[str, Callable[[int, bool], nn.Module]]] = {
    "none": lambda channels, affine: Zero(stride=1),
    "skip_connect": lambda channels, affine: nn.Identity(),
    "nor_conv_1x1": lambda channels, affine: ReLUConvBN(channels, channels, 1, affine=affine),
    "nor_conv_3x3": lambda channels, affine: ReLUConvBN(channels, channels, 3, affine=affine),
    "avg_pool_3x3": lambda channels, affine: nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
}
"""Builders by the benchmark's names and in its order, of ``(channels, affine)``; all have stride 1."""


class NasBench201Cell(nn.Module):
    """Four nodes, node 0 the input and node 3 the output, one choice on each edge: label ``cell/edge_i_j``.

    Args:
        channels: channels of input, nodes and output, at least 1.
        affine: whether the BatchNorm layers have weight and bias.
    """

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        with label_scope(CELL_TYPE):
            for source, target in edge_pairs(FIRST_NODE, NODES):
                candidates = {name: build(channels, affine) for name, build in NASBENCH201_OPERATIONS.items()}
                name = f"edge_{source}_{target}"
                self.edges[name] = LayerChoice(candidates, label=name)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, h, w)`` to the same shape."""
        states = [x]
        for target in range(FIRST_NODE, FIRST_NODE + NODES):
            edges = [self.edges[f"edge_{source}_{target}"] for source in range(target)]
            states.append(sum_of_edges(edges, states))
        return states[-1]


class NasBench201Space(ModelSpace):
    """The network of NAS-Bench-201: three stages of equal cells, a residual block of stride 2 between them.

    A child at the default size has exactly ``73306 + 28000 n1 + 243040 n3`` parameters, with ``n1`` and
    ``n3`` the number of its ``nor_conv_1x1`` and ``nor_conv_3x3`` edges.

    Args:
        channels: channels of the first stage, at least 1; they double at each residual block.
        cells_per_stage: at least 1.
        in_channels: channels of the images, at least 1.
        classes: number of classes, at least 1.
        affine: whether the cells' BatchNorm has weight and bias; the benchmark's networks have it.
        checkpoint_cells: compute a cell's activations again in the backward pass instead of keeping them, for
            less memory and more time.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(
        self,
        *,
        channels: int = 16,
        cells_per_stage: int = 5,
        in_channels: int = 3,
        classes: int = 10,
        affine: bool = True,
        checkpoint_cells: bool = False,
    ) -> None:
        super().__init__()
        check_whole_number("channels", channels, 1)
        check_whole_number("cells_per_stage", cells_per_stage, 1)
        check_whole_number("in_channels", in_channels, 1)
        check_whole_number("classes", classes, 1)
        check_flag("affine", affine)
        check_flag("checkpoint_cells", checkpoint_cells)
        self.checkpoint_cells = checkpoint_cells
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.blocks = nn.ModuleList()
        for stage in range(3):
            if stage > 0:
                self.blocks.append(ResNetBasicblock(channels, 2 * channels, 2))
                channels = 2 * channels
            self.blocks.extend(NasBench201Cell(channels, affine) for _ in range(cells_per_stage))
        self.last_norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(batch, in_channels, h, w)`` to logits ``(batch, classes)``."""
        x = self.stem(images)
        for block in self.blocks:
            x = run_checkpointed(block, x) if self.checkpoint_cells and isinstance(block, NasBench201Cell) else block(x)
        x = functional.relu(self.last_norm(x))
        return self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))

    @staticmethod
    def describe_cells(sample: Mapping[str, Any]) -> dict[str, list[Edge]]:
        """Write a sample as ``{"cell": edges}``, all six edges ``{"from", "to", "op"}`` by (to, from).

        Raises:
            ValueError: a label is unknown, an edge is missing or an operation is unknown.
        """
        reject_other_labels(sample, (CELL_TYPE,))
        edges = describe_edges(sample, CELL_TYPE, FIRST_NODE, tuple(NASBENCH201_OPERATIONS))
        _check_nodes(len(edges))
        return {CELL_TYPE: edges}

    @staticmethod
    def sample_from_cells(cells: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, str]:
        """Invert :meth:`describe_cells`.

        Raises:
            ValueError: a key is not ``cell``, or an edge is missing, given twice, impossible, or has an
                unknown operation.
        """
        for key in cells:
            check_choice("cell type", key, (CELL_TYPE,))
        sample = sample_from_edges(cells.get(CELL_TYPE, ()), CELL_TYPE, FIRST_NODE, tuple(NASBENCH201_OPERATIONS))
        _check_nodes(len(sample))
        return sample


def _check_nodes(edges: int) -> None:
    expected = len(edge_pairs(FIRST_NODE, NODES))
    if edges != expected:
        raise ValueError(f"a NAS-Bench-201 cell has {expected} edges (nodes 0 to {NODES}); {edges} are given")
