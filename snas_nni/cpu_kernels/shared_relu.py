"""A ReLU that several candidates begin with, computed once and kept once for each tensor that it is given.

Candidates of published cells begin with a ReLU and a convolution, so that a node's output goes through as many equal
ReLUs as there are candidates that read it, and a backward pass keeps every one of their results: a quarter of what a
search of the DARTS space keeps. Inside ``with sharing():`` the first one's result is everybody's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from snas_nni.cpu_kernels.replaced import replace_forward

__all__ = ["sharing", "use_shared_relu"]

_Results = dict[int, tuple["weakref.ref[Tensor]", int, Tensor]]
"""By identity of the input: a weak reference to it, its version, and the result."""
_results: ContextVar[_Results | None] = ContextVar("_results", default=None)
_hooks: Final[Callable[[bool], Any] | None] = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)


@contextmanager
def sharing() -> Iterator[None]:
    """Share results until the end of the outermost such block."""
    if _results.get() is not None:
        yield
        return
    token = _results.set({})
    try:
        yield
    finally:
        _results.reset(token)


def use_shared_relu(network: nn.Module) -> Callable[[], None]:
    """Let the ReLUs that a convolution follows in an ``nn.Sequential``, as its first two layers, share their results.

    A convolution changes nothing in place, so nobody can spoil the result for others. Other ReLUs stay as they are.

    Returns:
        A function that undoes it.
    """
    changed = [layer for module in network.modules() if (layer := _first_relu(module)) is not None]
    return replace_forward(changed, _forward)


def _first_relu(module: nn.Module) -> nn.ReLU | None:
    if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward or len(module) < 2:
        return None
    first, second = module[0], module[1]
    if isinstance(first, nn.ReLU) and type(first) is nn.ReLU and not first.inplace and isinstance(second, _ConvNd):
        return first
    return None


def _forward(layer: nn.ReLU, inputs: Tensor) -> Tensor:
    """``nn.ReLU.forward``."""
    results = _results.get()
    if results is None or torch.compiler.is_compiling() or not torch.is_grad_enabled() or _is_watched():
        return functional.relu(inputs)
    known = results.get(id(inputs))
    if known is not None and known[0]() is inputs and known[1] == inputs._version:
        return known[2]
    result = functional.relu(inputs)
    results[id(inputs)] = weakref.ref(inputs), inputs._version, result
    return result


def _is_watched() -> bool:
    """Whether what is kept goes through hooks, as in activation checkpointing: a part that runs again runs alone."""
    return _hooks is None or _hooks(False) is not None
