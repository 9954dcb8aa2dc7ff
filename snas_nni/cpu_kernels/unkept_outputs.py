"""Outputs that a weighted sum need not keep for its backward pass: those of BatchNorm.

A weighted sum needs its terms once more for the gradient of its weights, and only their products with a gradient. Where
candidates end with BatchNorm, the terms are a good part of what a search keeps; the layer's input, which its own
backward pass needs, gives the products too. (Bulo et al., In-Place Activated BatchNorm for Memory-Optimized Training of
DNNs, CVPR 2018, spare the output likewise where an activation follows.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["UnkeptOutput", "note_unkept", "unkept"]

_ATTRIBUTE = "_snas_unkept"


@dataclass(frozen=True)
class UnkeptOutput:
    """How products with an output are computed without it.

    Attributes:
        sources: tensors that are kept whether the output is or not.
        dot: gets a gradient of the output's shape and the sources; returns the sum of the gradient's products with the
            output, a scalar. Runs without gradients.
        version: of the output when it was made; a later one is that of a changed tensor.
    """

    sources: tuple[Tensor, ...]
    dot: Callable[..., Tensor]
    version: int


def note_unkept(output: Tensor, dot: Callable[..., Tensor], *sources: Tensor) -> None:
    """Say of an output that it need not be kept.

    Args:
        output: with gradient.
        dot: see :class:`UnkeptOutput`.
        sources: tensors that are kept whether the output is or not; the first has the output's memory order.
    """
    setattr(output, _ATTRIBUTE, UnkeptOutput(sources, dot, output._version))


def unkept(output: Tensor) -> UnkeptOutput | None:
    """Return how an output is done without; None where nobody said so, or it was changed in place since.

    Args:
        output: any tensor.
    """
    found: UnkeptOutput | None = getattr(output, _ATTRIBUTE, None)
    return found if found is not None and found.version == output._version else None
