"""The search space of the SNAS paper: a stem, a stack of normal and reduction cells, a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn
from torch.nn import functional

from ._arguments import check_choice, check_flag, check_whole_number
from .cell import CELL_INPUTS, SnasCell
from .checkpointing import run_checkpointed
from .edges import Edge, describe_edges, reject_other_labels, sample_from_edges
from .operations import OPERATIONS
from .stem import AuxiliaryHead, CifarStem, ImageNetStem

__all__ = ["SnasCellSpace", "reduction_positions"]

CELL_TYPES: Final = ("normal", "reduction")
STEMS: Final = ("cifar", "imagenet")
_AUXILIARY_POOL_STRIDE: Final = {"cifar": 3, "imagenet": 2}


def reduction_positions(cells: int) -> tuple[int, ...]:
    """Return the 0-based positions of the reduction cells: ``cells // 3`` and ``2 * cells // 3``.

    Position 0 is left out, so that the first cell always is a normal one: a single cell has no reduction, two
    cells have one (at 1), three have two (at 1 and 2).
    """
    return tuple(sorted({cells // 3, 2 * cells // 3} - {0}))


class SnasCellSpace(ModelSpace):
    """The space of SNAS (paper, sections 2.1 and 3): 8 operations on each of 14 edges, two cell types.

    Labels are ``normal/edge_i_j`` and ``reduction/edge_i_j``, values the names in ``OPERATIONS``. The zero
    operation is a candidate like the others. Channels double at each reduction cell (see
    :func:`reduction_positions`).

    Sizes of the paper: search 8 cells x 16 channels with ``affine=False``; CIFAR-10 retraining 20 x 36 with
    ``affine=True, auxiliary=True``. On ImageNet 14 cells with ``stem="imagenet", classes=1000``; the paper's
    number of channels there is not certain, DARTS takes 48.

    Args:
        channels: channels of a node in the first cell, at least 1; even for the ImageNet stem.
        cells: number of cells, at least 1.
        nodes: computing nodes of a cell, at least 1.
        in_channels: channels of the images, at least 1.
        classes: number of classes, at least 1.
        stem: ``"cifar"`` keeps the image size, ``"imagenet"`` divides it by 8.
        auxiliary: whether a second classifier sits behind cell ``2 * cells // 3``; needs at least 3 cells.
        affine: whether the cells' BatchNorm has weight and bias. Search without, retrain with.
        pool_norm: whether BatchNorm follows a pooling, as in SNAS; the DARTS evaluation network has none.
        checkpoint_cells: compute a cell's activations again in the backward pass instead of keeping them, for
            less memory and more time.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(
        self,
        *,
        channels: int = 16,
        cells: int = 8,
        nodes: int = 4,
        in_channels: int = 3,
        classes: int = 10,
        stem: str = "cifar",
        auxiliary: bool = False,
        affine: bool = False,
        pool_norm: bool = True,
        checkpoint_cells: bool = False,
    ) -> None:
        super().__init__()
        check_whole_number("channels", channels, 1)
        check_whole_number("cells", cells, 1)
        check_whole_number("nodes", nodes, 1)
        check_whole_number("in_channels", in_channels, 1)
        check_whole_number("classes", classes, 1)
        check_choice("stem", stem, STEMS)
        check_flag("auxiliary", auxiliary)
        check_flag("affine", affine)
        check_flag("pool_norm", pool_norm)
        check_flag("checkpoint_cells", checkpoint_cells)
        if stem == "imagenet" and channels % 2:
            raise ValueError(f"channels is {channels}; the stem 'imagenet' needs an even number")
        if auxiliary and cells < 3:
            raise ValueError(f"auxiliary is True with cells {cells}; the auxiliary head needs at least 3 cells")

        self.checkpoint_cells = checkpoint_cells
        first: CifarStem | ImageNetStem
        first = (CifarStem if stem == "cifar" else ImageNetStem)(in_channels, channels)
        self.stem = first
        positions = reduction_positions(cells)
        channels_before_last = channels_last = first.out_channels
        after_reduction: bool = first.halves_between_outputs
        self.cells = nn.ModuleList()
        for position in range(cells):
            reduction = position in positions
            channels = 2 * channels if reduction else channels
            cell = SnasCell(
                channels_before_last,
                channels_last,
                channels,
                reduction=reduction,
                after_reduction=after_reduction,
                nodes=nodes,
                affine=affine,
                pool_norm=pool_norm,
            )
            self.cells.append(cell)
            channels_before_last, channels_last = channels_last, cell.out_channels
            after_reduction = reduction

        self.auxiliary_position = 2 * cells // 3
        self.auxiliary_head: nn.Module | None = None
        if auxiliary:  # from the last reduction cell on, cells have the channels of the last one
            self.auxiliary_head = AuxiliaryHead(channels_last, classes, _AUXILIARY_POOL_STRIDE[stem])
        self.classifier = nn.Linear(channels_last, classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Classify ``images``, ``(batch, in_channels, height, width)``.

        Returns:
            Logits ``(batch, classes)``; in training mode with ``auxiliary=True`` a pair of such logits, the
            second from the auxiliary head.
        """
        before_last, last = self.stem(images)
        auxiliary_logits: Tensor | None = None
        for position, cell in enumerate(self.cells):
            output = run_checkpointed(cell, before_last, last) if self.checkpoint_cells else cell(before_last, last)
            before_last, last = last, output
            if self.training and self.auxiliary_head is not None and position == self.auxiliary_position:
                auxiliary_logits = self.auxiliary_head(last)
        logits = self.classifier(functional.adaptive_avg_pool2d(last, 1).flatten(1))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)

    @staticmethod
    def describe_cells(sample: Mapping[str, Any]) -> dict[str, list[Edge]]:
        """Write a sample as the cells it stands for.

        Args:
            sample: ``{label: operation}`` with all edges of a cell type, as NNI's strategies export it.

        Returns:
            ``{"normal": edges, "reduction": edges}``; edges are
            ``{"from": 0, "to": 2, "op": "sep_conv_3x3"}`` for every edge, ``none`` included, by (to, from).
            A type without labels (one-cell nets) has no edges.

        Raises:
            ValueError: a label is unknown, an edge is missing or an operation is unknown.
        """
        reject_other_labels(sample, CELL_TYPES)
        return {kind: describe_edges(sample, kind, CELL_INPUTS, tuple(OPERATIONS)) for kind in CELL_TYPES}

    @staticmethod
    def sample_from_cells(cells: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, str]:
        """Invert :meth:`describe_cells`; ``"reduce"`` is understood as ``"reduction"``.

        Raises:
            ValueError: a key is neither ``normal`` nor ``reduction`` nor ``reduce``, or an edge is missing,
                given twice, impossible, or has an unknown operation.
        """
        sample: dict[str, str] = {}
        seen: set[str] = set()
        for key, edges in cells.items():
            kind = "reduction" if key == "reduce" else check_choice("cell type", key, (*CELL_TYPES, "reduce"))
            if kind in seen:
                raise ValueError("the reduction cell is given twice, as 'reduction' and as 'reduce'")
            seen.add(kind)
            sample.update(sample_from_edges(edges, kind, CELL_INPUTS, tuple(OPERATIONS)))
        return sample
