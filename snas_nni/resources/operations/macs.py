"""Multiply-accumulates of each operation that computes: a table of handlers by ATen name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

__all__ = ["HANDLERS", "Handler", "ideal_input", "tensors_in"]

Handler = Callable[[tuple[Any, ...], Any], float]
"""Gets the operation's arguments and its result; returns MACs."""


def tensors_in(values: Any) -> Iterable[Tensor]:
    """All tensors in a nest of tuples and lists, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)


def _convolution(args: tuple[Any, ...], result: Any) -> float:
    images, weight, transposed = args[0], args[1], args[6]
    # One output (transposed: input) element takes a whole filter: channels of its group times the kernel.
    return float((images.numel() if transposed else result.numel()) * math.prod(weight.shape[1:]))


def ideal_input(args: tuple[Any, ...], result: Any) -> int:
    """Elements of a convolution's input by the official formulas; its own size at stride 1."""
    images, stride, transposed = args[0], args[3], args[6]
    if transposed or max(stride) == 1:
        return int(images.numel())
    strides = list(stride) * (result.dim() - 2) if len(stride) == 1 else stride
    sides = [side * s for side, s in zip(result.shape[2:], strides, strict=True)]
    return math.prod([*images.shape[:2], *sides])


def _matrix_product(first: int) -> Handler:
    def macs(args: tuple[Any, ...], result: Any) -> float:
        return float(result.numel() * args[first].shape[-1])

    return macs


def _attention(args: tuple[Any, ...], result: Any) -> float:
    query, key, value = args[:3]
    scores = math.prod(query.shape[:-1]) * key.shape[-2]
    return float(scores * query.shape[-1] + scores * value.shape[-1])


def _pooling(dimensions: int) -> Handler:
    def macs(args: tuple[Any, ...], result: Any) -> float:
        kernel = args[1] if len(args[1]) == dimensions else [args[1][0]] * dimensions
        return float(next(iter(tensors_in(result))).numel() * math.prod(kernel))

    return macs


def _each_input_once(args: tuple[Any, ...], result: Any) -> float:
    return float(args[0].numel())


def _recurrent(args: tuple[Any, ...], result: Any) -> float:
    # A whole layer (mkldnn) or all layers (cudnn) in one call: every token meets every weight once.
    tokens = args[0].numel() // args[0].shape[-1]
    weights = args[1] if isinstance(args[1], (list, tuple)) else args[1:3]
    return float(tokens * sum(weight.numel() for weight in weights if weight.dim() == 2))


def _trilinear(args: tuple[Any, ...], result: Any) -> float:
    # nn.Bilinear: one factor meets every weight, what is left meets the other factor.
    first, weight, second = args[:3]
    return float(first.numel() // first.shape[-1] * (weight.numel() + weight.numel() // second.shape[-1]))


def _distances(args: tuple[Any, ...], result: Any) -> float:
    return float(result.numel() * args[0].shape[-1])


def _antialiased(taps: int) -> Handler:
    """Resizing one side after the other, where a filter grows with the factor by which a side shrinks."""

    def macs(args: tuple[Any, ...], result: Any) -> float:
        (height, width), (rows, columns) = args[0].shape[-2:], result.shape[-2:]
        images = result.numel() // (rows * columns)
        across, down = (math.ceil(taps * max(1.0, old / new)) for old, new in ((width, columns), (height, rows)))
        return float(images * columns * (height * across + rows * down))

    return macs


def _grid_sampling(args: tuple[Any, ...], result: Any) -> float:
    dimensions, mode = args[0].dim() - 2, args[2]  # 0 linear, 1 nearest, 2 cubic
    return float(result.numel() * {0: 2, 1: 0, 2: 4}[mode] ** dimensions)


def _affine_grid(args: tuple[Any, ...], result: Any) -> float:
    return float(result.numel() * args[0].shape[-1])


def _each_output(times: int) -> Handler:
    def macs(args: tuple[Any, ...], result: Any) -> float:
        return float(result.numel() * times)

    return macs


def _nothing(args: tuple[Any, ...], result: Any) -> float:
    return 0.0


HANDLERS: dict[str, Handler] = {
    "convolution": _convolution,
    "mm": _matrix_product(0),
    "addmm": _matrix_product(1),
    "bmm": _matrix_product(0),
    "baddbmm": _matrix_product(1),
    "mv": _matrix_product(0),
    "addmv": _matrix_product(1),
    "dot": _each_input_once,
    "vdot": _each_input_once,
    "_trilinear": _trilinear,
    "_cdist_forward": _distances,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_attention_math": _attention,
    "max_pool2d_with_indices": _pooling(2),
    "avg_pool2d": _pooling(2),
    "max_pool3d_with_indices": _pooling(3),
    "avg_pool3d": _pooling(3),
    "_adaptive_avg_pool2d": _each_input_once,
    "_adaptive_avg_pool3d": _each_input_once,
    "adaptive_max_pool2d": _each_input_once,
    "adaptive_max_pool3d": _each_input_once,
    "fractional_max_pool2d": _pooling(2),
    "fractional_max_pool3d": _pooling(3),
    "mean": _each_input_once,
    "mkldnn_rnn_layer": _recurrent,
    "_cudnn_rnn": _recurrent,
    "embedding": _nothing,
    "_embedding_bag": _nothing,
    "_embedding_bag_forward_only": _nothing,
    "upsample_linear1d": _each_output(2),
    "upsample_bilinear2d": _each_output(4),
    "upsample_bicubic2d": _each_output(16),
    "upsample_trilinear3d": _each_output(8),
    "_upsample_bilinear2d_aa": _antialiased(2),
    "_upsample_bicubic2d_aa": _antialiased(4),
    "grid_sampler_2d": _grid_sampling,
    "grid_sampler_3d": _grid_sampling,
    "affine_grid_generator": _affine_grid,
}
