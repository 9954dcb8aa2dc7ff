"""Chains of layers in an ``nn.Sequential`` that keep only what they must, and make the rest again.

In BatchNorm, ReLU, convolution, the last two keep the ReLU's result; it is made again from BatchNorm's input, which is
kept anyway. In a depthwise convolution and the pointwise one behind it, the second keeps what the first returned; it
is made again from what the first has. Of the five tensors that a separable convolution keeps, two are left.

Inside a Sequential nobody else sees what lies between its layers, so nobody changes it in place.

It is done only ``with side_by_side():``, where several candidates run, and what they keep together is what a search
needs its memory for. A network by itself would take a tenth longer for memory that nobody lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from snas_nni.cpu_kernels.replaced import replace_forward, runs_as
from snas_nni.cpu_kernels.unkept_outputs import (
    UnkeptOutput,
    can_do_without,
    keeping_instead,
    keeping_result_instead,
    note_unkept,
    unkept,
)

__all__ = ["side_by_side", "use_recomputed"]

_several: ContextVar[bool] = ContextVar("_several", default=False)


@contextmanager
def side_by_side(several: bool = True) -> Iterator[None]:
    """Let what runs in the block keep little.

    Args:
        several: whether several candidates run in it; one alone keeps what it always keeps, unless it is a part of one
            of several.
    """
    before = _several.set(several or _several.get())
    try:
        yield
    finally:
        _several.reset(before)


def use_recomputed(network: nn.Module) -> Callable[[], None]:
    """Let chains of a network keep less where candidates run side by side; all that it computes stays what it is.

    BatchNorm says by itself what its output is made from (:mod:`snas_nni.cpu_kernels.batch_norm`).

    Returns:
        A function that undoes it.
    """
    activations: set[nn.Module] = set()
    depthwise: set[nn.Module] = set()
    followers: set[nn.Module] = set()
    for module in network.modules():
        if runs_as(module, nn.Sequential):
            layers = list(module)
            for before, first, second in zip([None, *layers], layers, layers[1:], strict=False):
                if not runs_as(second, nn.Conv2d):
                    continue
                if isinstance(before, nn.BatchNorm2d) and type(first) is nn.ReLU and not first.inplace:
                    activations.add(first)
                    followers.add(second)
                elif runs_as(first, nn.Conv2d) and _is_depthwise(first) and _is_pointwise(second):
                    depthwise.add(first)
                    followers.add(second)
    undo = ExitStack()
    undo.callback(replace_forward([*activations], _activate))
    undo.callback(replace_forward([*followers - depthwise], _convolve))
    undo.callback(replace_forward([*depthwise], _convolve_and_note))
    return undo.close


def _keeps_little() -> bool:
    return can_do_without() and _several.get()


def _is_depthwise(layer: Any) -> bool:
    return bool(layer.groups == layer.in_channels == layer.out_channels)


def _is_pointwise(layer: Any) -> bool:
    return set(layer.kernel_size) == {1}


def _activate(layer: nn.ReLU, inputs: Tensor) -> Tensor:
    """``nn.ReLU.forward``."""
    made_from = unkept(inputs) if _keeps_little() else None
    if made_from is None:
        return functional.relu(inputs)
    make = made_from.make
    how = UnkeptOutput(lambda *sources: make(*sources).relu_(), *made_from.sources)
    with keeping_result_instead(how):
        result = functional.relu(inputs)
    note_unkept(result, how)
    return result


def _convolve(layer: _ConvNd, inputs: Tensor) -> Tensor:
    """``nn.Conv2d.forward``."""
    how = unkept(inputs) if _keeps_little() else None
    if how is None:
        return _plain(layer, inputs)
    with keeping_instead(inputs, how):
        return _plain(layer, inputs)


def _convolve_and_note(layer: Any, inputs: Tensor) -> Tensor:
    """``nn.Conv2d.forward`` of a depthwise convolution that a pointwise one follows."""
    result = _convolve(layer, inputs)
    # Autocast, which converts either of them, is off in the backward pass.
    if result.requires_grad and _keeps_little() and result.dtype == inputs.dtype == layer.weight.dtype:
        how, run = unkept(inputs), layer._conv_forward
        sources = (inputs,) if how is None else how.sources

        def make(*_: Tensor) -> Tensor:
            again: Tensor = run(inputs if how is None else how.again(), layer.weight, layer.bias)
            return again

        note_unkept(result, UnkeptOutput(make, *sources, layer.weight))
    return result


def _plain(layer: _ConvNd, inputs: Tensor) -> Tensor:
    result: Tensor = type(layer).forward(layer, inputs)
    return result
