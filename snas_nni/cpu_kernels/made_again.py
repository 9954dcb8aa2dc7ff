"""Outputs that a backward pass makes again, in place of keeping them: those of BatchNorm, from what it keeps anyway.

A weighted sum needs its terms once more for the gradient of the weights. Where candidates end with BatchNorm, these are
a good part of what a search keeps; the layer's input, which its own backward pass needs, gives them again. (Bulo et
al., In-Place Activated BatchNorm for Memory-Optimized Training of DNNs, CVPR 2018, do so for the activation that
follows a BatchNorm.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["MadeAgain", "made_again", "note_made_again"]

_ATTRIBUTE = "_snas_made_again"


@dataclass(frozen=True)
class MadeAgain:
    """How an output is made once more.

    Attributes:
        sources: tensors that are kept whether the output is or not.
        function: gets them, returns the output to the bit; runs without gradients.
        version: of the output when it was made; a later one is that of a changed tensor.
    """

    sources: tuple[Tensor, ...]
    function: Callable[..., Tensor]
    version: int


def note_made_again(output: Tensor, function: Callable[..., Tensor], *sources: Tensor) -> None:
    """Say of an output that a function makes it again.

    Args:
        output: with gradient.
        function: of the sources.
        sources: tensors that are kept whether the output is or not.
    """
    setattr(output, _ATTRIBUTE, MadeAgain(sources, function, output._version))


def made_again(output: Tensor) -> MadeAgain | None:
    """Return how an output is made again; None where nobody said so, or it was changed in place since.

    Args:
        output: any tensor.
    """
    found: MadeAgain | None = getattr(output, _ATTRIBUTE, None)
    return found if found is not None and found.version == output._version else None
