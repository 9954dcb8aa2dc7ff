"""Layers without weights that several candidates begin with or are, computed and kept once for each tensor.

Candidates of published cells begin with a ReLU and a convolution, so that a node's output goes through as many equal
ReLUs as there are candidates that read it, and a backward pass keeps every one of their results: a quarter of what a
search of the DARTS space keeps. Each node that reads it has a pooling of its own, too. Inside ``with sharing():`` the
first one's result is everybody's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from snas_nni.cpu_kernels.replaced import replace_forward, runs_as
from snas_nni.cpu_kernels.unkept_outputs import can_do_without

__all__ = ["run_shared", "share_in_passes", "sharing", "use_shared_relu"]

_Results = dict[tuple[Any, ...], tuple["weakref.ref[Tensor]", int, Tensor]]
"""By layer and identity of the input: a weak reference to it, its version, and the result."""
_results: ContextVar[_Results | None] = ContextVar("_results", default=None)


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


def share_in_passes(network: nn.Module) -> Callable[[], None]:
    """Let all that runs in a pass of a network share: edges of a cell read the same nodes, each in a choice of its own.

    Returns:
        A function that undoes it.
    """
    begun: list[ExitStack] = []

    def begin(*_: Any) -> None:
        begun.append(ExitStack())
        begun[-1].enter_context(sharing())

    def end(*_: Any) -> None:
        begun.pop().close()

    undo = ExitStack()
    undo.callback(network.register_forward_pre_hook(begin).remove)
    undo.callback(network.register_forward_hook(end, always_call=True).remove)
    return undo.close


def use_shared_relu(network: nn.Module) -> Callable[[], None]:
    """Let the ReLUs that a convolution follows in an ``nn.Sequential``, as its first two layers, share their results.

    A convolution changes nothing in place, so nobody can spoil the result for others. Other ReLUs stay as they are.

    Returns:
        A function that undoes it.
    """
    changed = [layer for module in network.modules() if (layer := _first_relu(module)) is not None]
    return replace_forward(changed, _forward)


def _first_relu(module: nn.Module) -> nn.ReLU | None:
    if not runs_as(module, nn.Sequential) or len(module) < 2:
        return None
    first, second = module[0], module[1]
    if isinstance(first, nn.ReLU) and type(first) is nn.ReLU and not first.inplace and isinstance(second, _ConvNd):
        return first
    return None


def _forward(layer: nn.ReLU, inputs: Tensor) -> Tensor:
    """``nn.ReLU.forward``."""
    return _once((nn.ReLU,), inputs, functional.relu)


def run_shared(candidate: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Run a candidate whose output is only read; a pooling shares it with equal ones on the same tensor.

    Args:
        candidate: any module.
        args: of its ``forward``.
        kwargs: of its ``forward``.
    """
    if len(args) != 1 or kwargs or not _is_pooling(candidate) or not isinstance(args[0], Tensor):
        return candidate(*args, **kwargs)
    return _once((type(candidate), *_settings(candidate)), args[0], candidate)


def _is_pooling(layer: nn.Module) -> bool:
    return type(layer) in (nn.MaxPool2d, nn.AvgPool2d) and not (layer._forward_hooks or layer._forward_pre_hooks)


def _settings(pooling: Any) -> tuple[str, ...]:
    return tuple(f"{name}={getattr(pooling, name)}" for name in type(pooling).__constants__)


def _once(layer: tuple[Any, ...], inputs: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
    results = _results.get() if can_do_without() else None
    if results is None:
        return run(inputs)
    key = (*layer, id(inputs))
    known = results.get(key)
    if known is not None and known[0]() is inputs and known[1] == inputs._version:
        return known[2]
    result = run(inputs)
    results[key] = weakref.ref(inputs), inputs._version, result
    return result
