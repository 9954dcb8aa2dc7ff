"""Outputs that nothing need keep for its backward pass, since what they are made from is kept anyway.

A layer that follows keeps its input for the gradient of its own weights. Where that input is cheap to make again from
a tensor that another layer keeps in any case, it need not be there all the time: BatchNorm's output, the ReLU of it,
what a depthwise convolution returned. That is most of what a search keeps. (Bulo et al., In-Place Activated BatchNorm
for Memory-Optimized Training of DNNs, CVPR 2018, for BatchNorm and the activation behind it; Pleiss et al.,
Memory-Efficient Implementation of DenseNets, 2017, for concatenations and BatchNorm.)

A weighted sum needs its terms only for their products with a gradient, which some layers can give without the term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from snas_nni.cpu_kernels.memory_format import dot_of_images

__all__ = ["UnkeptOutput", "can_do_without", "keeping_instead", "keeping_result_instead", "note_unkept", "unkept"]

_ATTRIBUTE = "_snas_unkept"
_hooks: Final[Callable[[bool], Any] | None] = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
_allowed: Final[Callable[[], bool] | None] = getattr(torch._C._autograd, "_saved_tensors_hooks_is_enabled", None)


class UnkeptOutput:
    """How an output is made again.

    Args:
        make: gets the sources and returns the output. Runs without gradients.
        sources: tensors that are kept whether the output is or not; the first has the output's memory order.
        dot: gets a gradient of the output's shape and the sources; returns the sum of the gradient's products with the
            output, a scalar. Runs without gradients. By default the output is made for it.
    """

    def __init__(self, make: Callable[..., Tensor], *sources: Tensor, dot: Callable[..., Tensor] | None = None) -> None:
        self.make = make
        self.sources = sources
        self.dot = partial(_dot_of_made, make) if dot is None else dot  # no method of its own: it would be a cycle
        self._versions = [source._version for source in sources]
        self._made: Tensor | None = None

    def again(self, last: bool = False) -> Tensor:
        """Return the output, made once for all who ask until the last one did.

        Args:
            last: nobody asks any more.

        Raises:
            RuntimeError: a source was changed in place since.
        """
        made, self._made = self._made, None
        if made is None:
            if self._versions != [source._version for source in self.sources]:
                raise RuntimeError("a tensor that is needed for the gradient was changed in place since it was used")
            with torch.no_grad():
                made = self.make(*self.sources)
        if not last:
            self._made = made
        return made


def _dot_of_made(make: Callable[..., Tensor], gradient: Tensor, *sources: Tensor) -> Tensor:
    return dot_of_images(gradient, make(*sources))


def note_unkept(output: Tensor, how: UnkeptOutput) -> None:
    """Say of an output that it need not be kept.

    Args:
        output: with gradient, as it was returned: once it is changed in place, it has to be kept.
        how: it is made again.
    """
    setattr(output, _ATTRIBUTE, (how, output._version))


def unkept(output: Tensor) -> UnkeptOutput | None:
    """Return how an output is done without; None where nobody said so, or it was changed in place since.

    Args:
        output: any tensor.
    """
    how, version = getattr(output, _ATTRIBUTE, (None, 0))
    # Those of inference mode have no version, and nothing is noted of them.
    return how if how is not None and version == output._version else None


def can_do_without() -> bool:
    """Whether a layer may keep something else than PyTorch would: not where others watch what is kept.

    Activation checkpointing keeps nothing and runs a part once more; compilers and ``torch.func`` see to it themselves.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or _hooks is None or _allowed is None:
        return False
    return _allowed() and _hooks(False) is None


@contextmanager
def keeping_instead(given: Tensor, how: UnkeptOutput) -> Iterator[None]:
    """Let an operation in the block keep what its input is made from in place of the input.

    Args:
        given: the input.
        how: it is made again.
    """
    place, shape = given.untyped_storage()._cdata, given.shape

    def pack(tensor: Tensor) -> Tensor | UnkeptOutput:
        return how if tensor.shape == shape and tensor.untyped_storage()._cdata == place else tensor

    def unpack(kept: Tensor | UnkeptOutput) -> Tensor:
        return kept.again() if isinstance(kept, UnkeptOutput) else kept

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield


@contextmanager
def keeping_result_instead(how: UnkeptOutput) -> Iterator[None]:
    """Let an operation in the block, which keeps nothing but its result, keep what that is made from.

    Its backward pass is the last that asks for the result: those of the layers behind it came before.

    Args:
        how: the result is made again.
    """
    with torch.autograd.graph.saved_tensors_hooks(lambda _: how, lambda kept: kept.again(last=True)):
        yield
