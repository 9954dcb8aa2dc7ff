"""Weighted sums over candidates, and which candidates need not run."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snas_nni.cpu_kernels.memory_format import dot_of_images, is_channels_last
from snas_nni.cpu_kernels.unkept_outputs import UnkeptOutput, unkept
from snas_nni.errors import UnsupportedSpaceError

__all__ = ["negligible", "same_shape", "weighted_sum"]


def negligible(weights: Sequence[float], allowance: float) -> list[bool]:
    """Tell which candidates may be left out so that their weights sum to at most ``allowance``.

    The smallest go first. With c^k = dL/dZ^k, the exact gradient of a row of logits is
    dL/da^k = Z^k (c^k - sum_m Z^m c^m) / lambda. Leaving out a set S of candidates puts 0 in place of their c, so
    (to first order in the output) the gradient moves, summed over the row in absolute value, by at most
    2 sum_{k in S} Z^k |c^k| / lambda, and the output by at most sum_{k in S} Z^k max |O^k|.

    The search allows tolerance * min(lambda, u), u = mean over labels of 1 - max Z (``Sample.undecided``). So the
    gradient moves by at most 2 * tolerance * max |c| in a row, at any temperature; and, since the gradients of a
    nearly one-hot sample are themselves of the size u / lambda, by no more than about that share of their norm over
    all labels.

    That the output moves is the larger part in a deep network, where ReLUs switch and the gradient jumps: by as much
    as noise of the size ``tolerance`` on the images makes it. ``benchmarks.speed`` measures both together. The
    credits that are used are exact ones, at a Z that is rounded by at most the allowance.

    A weight of exactly 0 is always left out: it has neither output nor gradient. The largest never is.

    Args:
        weights: one number in [0, 1] per candidate.
        allowance: how much weight may be left out in all, >= 0.
    """
    skip = [False] * len(weights)
    total = 0.0
    for index in sorted(range(len(weights)), key=weights.__getitem__)[:-1]:
        total += weights[index]
        if total > allowance:
            break
        skip[index] = True
    return skip


def weighted_sum(outputs: Sequence[Any], weights: Sequence[Tensor], where: Callable[[], str]) -> Any:
    """Sum of ``weights[k] * outputs[k]``; outputs may be tensors or equal nests of tuples, lists and dicts.

    Args:
        outputs: what the candidates returned; at least one.
        weights: scalar tensors, as many.
        where: describes the choice for an error message.

    Raises:
        UnsupportedSpaceError: shapes or structures differ. Broadcasting would hide that until the child runs.
    """
    first = outputs[0]
    if all(output is None for output in outputs):
        return None
    if isinstance(first, Tensor):
        for index, output in enumerate(outputs):
            if not isinstance(output, Tensor) or output.shape != first.shape:
                raise _unequal(outputs, where, index)
        if not (first.is_floating_point() or first.is_complex()):
            raise UnsupportedSpaceError(
                f"{where()}: the candidates return tensors of {first.dtype}, and a weight of 0.3 would round to 0. "
                "Compute them outside the choice, or return floating-point numbers."
            )
        return _weighted_tensors(outputs, weights)
    if isinstance(first, Mapping) and all(isinstance(o, Mapping) and o.keys() == first.keys() for o in outputs):
        return {key: weighted_sum([o[key] for o in outputs], weights, where) for key in first}
    if isinstance(first, (tuple, list)) and all(isinstance(o, (tuple, list)) and len(o) == len(first) for o in outputs):
        columns = [weighted_sum(column, weights, where) for column in zip(*outputs, strict=True)]
        return tuple(columns) if isinstance(first, tuple) else columns
    raise _unequal(outputs, where, 0)


def _weighted_tensors(outputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    stacked = torch.stack(list(weights))
    if stacked.requires_grad:
        result: Tensor = _WeightedSum.apply(stacked, [unkept(output) for output in outputs], *outputs)
        return result
    return _summed(stacked, outputs)  # a sample that is held fixed; differentiable by itself


def _summed(weights: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    # Under autocast some candidates return bfloat16 and a skip returns float32.
    dtype = functools.reduce(torch.promote_types, (output.dtype for output in outputs))
    cast = weights.to(dtype)
    total = outputs[0].to(dtype) * cast[0]
    for weight, output in zip(cast[1:], outputs[1:], strict=True):
        if total.requires_grad:
            total = torch.addcmul(total, output.to(dtype), weight)
        else:
            total.addcmul_(output.to(dtype), weight)
    return total


class _WeightedSum(torch.autograd.Function):
    """sum_k w_k O_k without a product of its own for each term, and dL/dw_k as a dot product.

    ``apply(weights, ways, *outputs)``: weights of shape ``(n,)``, how n outputs of one shape are done without (None
    for those that are kept), and the outputs.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, ways: Sequence[UnkeptOutput | None], *outputs: Tensor) -> Tensor:
        kept = [(out,) if way is None else way.sources for out, way in zip(outputs, ways, strict=True)]
        ctx.dots = [dot_of_images if way is None else way.dot for way in ways]
        ctx.counts = [len(tensors) for tensors in kept]
        ctx.dtypes = [output.dtype for output in outputs]
        ctx.save_for_backward(weights, *(tensor for tensors in kept for tensor in tensors))
        return _summed(weights, outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *kept = ctx.saved_tensors
        starts = itertools.accumulate(ctx.counts, initial=0)
        terms = [kept[start : start + count] for start, count in zip(starts, ctx.counts, strict=False)]
        # BatchNorm leaves its images in their order of memory.
        if all(is_channels_last(term[0]) for term in terms):
            # A mean over the image, for one, sends it in the other order, which every layer before would stumble over.
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_weights = None
        if ctx.needs_input_grad[0]:
            # One after the other, so that no two outputs that are made again are there at once.
            dots = [dot(gradient, *term) for dot, term in zip(ctx.dots, terms, strict=True)]
            of_weights = torch.stack(dots).to(weights.dtype)
        cast = weights.to(gradient.dtype)
        of_outputs = [
            (gradient * cast[k]).to(ctx.dtypes[k]) if needed else None
            for k, needed in enumerate(ctx.needs_input_grad[2:])
        ]
        return of_weights, None, *of_outputs


def _unequal(outputs: Sequence[Any], where: Callable[[], str], index: int) -> UnsupportedSpaceError:
    def described(output: Any) -> str:
        return str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__

    return UnsupportedSpaceError(
        f"{where()}: the candidates' outputs cannot be summed, they are "
        f"{', '.join(described(o) for o in outputs)} (in the order they ran). "
        "All candidates of a choice must return the same shape for the same input."
    )


def same_shape(outputs: Sequence[Any], names: Sequence[Any], where: str) -> Any:
    """Return the first output, once all have its shape.

    Raises:
        UnsupportedSpaceError: names the choice and the shape of each candidate's output.
    """

    def described(output: Any) -> Any:
        if isinstance(output, Tensor):
            return tuple(output.shape)
        if isinstance(output, Mapping):
            return {key: described(value) for key, value in output.items()}
        if isinstance(output, (list, tuple)):
            return [described(value) for value in output]
        return type(output).__name__

    shapes = [described(output) for output in outputs]
    if any(shape != shapes[0] for shape in shapes):
        listed = ", ".join(f"{name}: {shape}" for name, shape in zip(names, shapes, strict=True))
        raise UnsupportedSpaceError(
            f"{where}: the candidates return different shapes for the same input ({listed}). "
            "All candidates of a choice must return the same shape."
        )
    return outputs[0]
