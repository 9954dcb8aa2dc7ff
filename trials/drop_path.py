"""Drop-path: each image loses some of the edges of a cell while a child is trained (paper, section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nni.nas.nn.pytorch import Cell
from pytorch_lightning import Callback
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from snas_nni.errors import SettingError

__all__ = ["DropPath", "droppable_edges"]


def droppable_edges(child: nn.Module) -> list[nn.Module]:
    """Return the operations on the edges of all cells of a child, but for identities and zero operations.

    A cell is any module with a list or dictionary of modules called ``edges``, as in ``search_spaces``, or NNI's
    ``Cell``.
    """
    edges = dict.fromkeys(edge for module in child.modules() for edge in _edges(module))  # shared ones once
    return [edge for edge in edges if not (isinstance(edge, nn.Identity) or getattr(edge, "is_zero", False))]


def _edges(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, Cell):
        for operations in module.ops:
            yield from operations
        return
    edges = getattr(module, "edges", None)
    if isinstance(edges, nn.ModuleDict):
        yield from edges.values()
    elif isinstance(edges, nn.ModuleList):
        yield from edges


class DropPath(Callback):
    """Sets an edge's output to zero with a probability that rises, drawn for each image of a batch.

    In epoch ``e`` of ``n``, counted from 0, the probability is ``final * e / n``. What is kept is scaled so that
    the expected output is unchanged. Edges are hooked for the time of training and in training mode only: the
    child itself, its weights' names and what is exported do not know of it.

    Args:
        final: probability that the last epoch comes near to, in [0, 1).
    """

    def __init__(self, final: float) -> None:
        self.final = final
        self.probability = 0.0
        self._handles: list[Any] = []

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Hook the edges.

        Raises:
            SettingError: the child has no cells.
        """
        self.remove()
        if self.final == 0:
            return
        if not any(True for module in pl_module.modules() for _ in _edges(module)):
            raise SettingError(
                f"training.drop_path is {self.final}, but {type(pl_module.model).__name__} has no cells whose edges "
                "could be dropped; set it to 0"
            )
        self._handles = [edge.register_forward_hook(self._drop) for edge in droppable_edges(pl_module)]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the epoch's probability; not at the epoch's start, whose hook a resumed run does not call."""
        self.probability = self.final * trainer.current_epoch / trainer.max_epochs

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the hooks off."""
        self.remove()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Take the hooks off, whatever happened."""
        self.remove()

    def remove(self) -> None:
        """Take the hooks off; the child is then as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _drop(self, edge: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        dropped: Tensor = stochastic_depth(output, self.probability, mode="row", training=edge.training)
        return dropped
