"""What one tensor operation costs: a table of handlers by ATen name.

MACs are multiply-accumulates: a fused multiply-add is one. Memory access is in elements, read plus written,
weights included (the paper's "MAC", a name this project keeps for nothing). Elementwise sums and products and the
movement of data are free by convention. Normalization and activation are counted or not by the convention; the
paper's official code does not count them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Convention",
    "Operation",
    "OperationCost",
    "cost_of_operation",
    "is_free_by_kind",
    "is_normalization",
    "register_operation",
]


@dataclass(frozen=True)
class Convention:
    """What counts.

    Attributes:
        normalization: count BatchNorm, LayerNorm, ... : their parameters, one MAC for each element, and the
            elements that they read and write.
        activation: count the elements that activations read and write (their MACs are 0).
        strided_input: count the input of a strided convolution by its own size. Otherwise it is taken to be stride
            times the output's side, as in the official formulas; that differs where a slice goes in, as in the
            second convolution of a factorized reduction.
    """

    normalization: bool = True
    activation: bool = True
    strided_input: bool = True

    @staticmethod
    def paper() -> Convention:
        """The convention of the paper's official code."""
        return Convention(normalization=False, activation=False, strided_input=False)


@dataclass(frozen=True)
class OperationCost:
    """MACs and elements read plus written."""

    macs: float = 0.0
    memory_access: float = 0.0


@dataclass(frozen=True)
class Operation:
    """One tensor operation that the network ran, for a cost that is counted by operation.

    Attributes:
        name: its ATen name without overload, such as "convolution"; "identity" for an ``nn.Identity``.
        arguments: its positional arguments.
        result: what it returned.
        cost: its MACs and the elements that it reads and writes.
        convention: what counts.
    """

    name: str
    arguments: tuple[Any, ...]
    result: Any
    cost: OperationCost
    convention: Convention


Handler = Callable[[tuple[Any, ...], Any], float]
"""Gets the operation's arguments and its result; returns MACs."""


def _tensors(values: Any) -> Iterable[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def _elements(values: Any) -> int:
    return sum(_distinct(tensor) for tensor in _tensors(values))


def _distinct(tensor: Tensor) -> int:
    # What is only repeated (``expand``) lies in memory once. How far weights are repeated for a matrix product depends
    # on the memory order of the other factor.
    return math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)


def _convolution(args: tuple[Any, ...], result: Any) -> float:
    images, weight, transposed = args[0], args[1], args[6]
    # One output (transposed: input) element takes a whole filter: channels of its group times the kernel.
    return float((images.numel() if transposed else result.numel()) * math.prod(weight.shape[1:]))


def _ideal_input(args: tuple[Any, ...], result: Any) -> int:
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
        return float(next(iter(_tensors(result))).numel() * math.prod(kernel))

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


_COMPUTE: dict[str, Handler] = {
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
_NORMALIZATION = {
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update", "_batch_norm_with_update", "cudnn_batch_norm", "native_layer_norm",
    "native_group_norm", "_fused_rms_norm",
}  # fmt: skip
_ACTIVATION = {
    "relu", "relu_", "leaky_relu", "leaky_relu_", "gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh", "tanh_",
    "hardtanh", "hardtanh_", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "elu", "elu_", "softplus",
    "mish", "_softmax", "_safe_softmax", "_log_softmax", "_prelu_kernel", "celu", "log_sigmoid_forward", "glu",
    "threshold", "hardshrink", "softshrink", "rrelu_with_noise", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell",
}  # fmt: skip
_FREE = {
    "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "expand", "cat", "stack", "slice", "select",
    "split", "split_with_sizes", "chunk", "unbind", "unsqueeze", "squeeze", "clone", "copy_", "copy", "contiguous",
    "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "_reshape_alias", "alias", "detach", "lift_fresh",
    "add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "neg", "pow", "sqrt", "rsqrt", "exp", "log",
    "abs", "sum", "maximum", "minimum", "clamp", "clamp_min", "clamp_max", "where", "masked_fill", "masked_fill_",
    "zeros", "zeros_like", "ones", "ones_like", "full", "full_like", "new_zeros", "new_ones", "new_full", "empty",
    "empty_like", "new_empty", "arange", "fill_", "zero_", "scalar_tensor", "_to_copy", "to", "index", "index_select",
    "gather", "roll", "flip", "repeat", "pixel_shuffle", "upsample_nearest2d", "channel_shuffle", "as_strided",
    "new_empty_strided", "empty_strided", "_local_scalar_dense", "eq", "ne", "lt", "gt", "le", "ge", "logical_not",
    "logical_and", "any", "all", "bitwise_not", "max", "min", "amax", "amin", "erf", "bernoulli_", "native_dropout",
    "unfold", "triu", "tril", "cumsum", "topk", "sort", "argmax", "im2col", "native_channel_shuffle", "view_as",
    "_assert_async", "tanh_backward", "squeeze_", "unsqueeze_", "item", "is_same_size", "sin", "cos", "transpose_",
    "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "sign", "square", "reciprocal", "exp_", "pow_",
    "sqrt_", "log1p", "expm1", "log2", "floor", "ceil", "round", "trunc", "floor_divide", "remainder", "lerp",
    "addcmul", "addcdiv", "prod", "cumprod", "logsumexp", "linalg_vector_norm", "std", "var", "var_mean", "std_mean",
    "aminmax", "scatter", "scatter_", "scatter_add", "index_put_", "index_fill_", "index_add", "diagonal",
    "linspace", "rand", "randn", "rand_like", "randn_like", "randint", "isnan", "isinf", "bitwise_and", "bitwise_or",
    "logical_or", "pixel_unshuffle", "reflection_pad1d", "reflection_pad3d", "replication_pad1d",
    "replication_pad3d", "upsample_nearest1d", "upsample_nearest3d", "atan2", "nonzero", "masked_select",
    "col2im", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "rot90",
    "diag_embed", "block_diag", "masked_scatter", "index_fill", "index_copy", "index_put", "put", "take", "renorm",
    "norm", "median", "nanmedian", "mode", "argmin", "kthvalue", "cummax", "cummin", "logcumsumexp", "count_nonzero",
    "_unique2", "unique_dim", "histc", "bincount", "bucketize", "searchsorted", "bernoulli", "multinomial", "uniform",
    "normal", "random", "exponential", "tril_indices", "triu_indices",
}  # fmt: skip


def register_operation(name: str, macs: Handler | None) -> None:
    """Teach the counter an operation, in place of what it knew about it.

    Args:
        name: its ATen name without overload, such as ``"_fft_r2c"``.
        macs: gets ``(arguments, result)`` and returns MACs; None declares the operation free.

    Examples:
        >>> import torch
        >>> from snas_nni import count_child
        >>> class Products(torch.nn.Module):
        ...     def forward(self, vectors):
        ...         return torch.linalg.cross(vectors, vectors.flip(0))
        >>> register_operation("linalg_cross", lambda arguments, result: 6.0 * result.numel() / 3)
        >>> count_child(Products(), torch.ones(5, 3))["macs"]
        30.0
    """
    for known in (_FREE, _NORMALIZATION, _ACTIVATION):
        known.discard(name)
    _COMPUTE.pop(name, None)
    if macs is None:
        _FREE.add(name)
    else:
        _COMPUTE[name] = macs


def is_free_by_kind(operation: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether an operation is free by what PyTorch says of it, whatever its name.

    Free are views, also those that a tensor is changed into in place (channels-last pooling calls ``as_strided_``),
    what is done element by element, and what is made from nothing.
    """
    tags = operation.tags
    kinds = (torch.Tag.pointwise, torch.Tag.inplace_view)
    return operation.is_view or any(kind in tags for kind in kinds) or not any(True for _ in _tensors(args))


def cost_of_operation(name: str, args: tuple[Any, ...], result: Any, convention: Convention) -> OperationCost | None:
    """Cost of one call, or None for an operation that nobody taught the counter.

    Args:
        name: ATen name without overload. An operation in place (``celu_``) costs what the one of that name (``celu``)
            does, unless it was taught by itself.
        args: its positional arguments.
        result: what it returned.
        convention: what counts.
    """
    if not any(name in known for known in (_FREE, _NORMALIZATION, _ACTIVATION, _COMPUTE)):
        name = name.removesuffix("_")
    if name in _FREE:
        return OperationCost()
    if name in _NORMALIZATION:
        if not convention.normalization:
            return OperationCost()
        output = next(iter(_tensors(result)))
        parameters = sum(t.numel() for t in _tensors(args[1:]) if t.dim() == 1)
        return OperationCost(float(output.numel()), args[0].numel() + output.numel() + parameters)
    if name in _ACTIVATION:
        elements = _elements(args) + next(iter(_tensors(result))).numel() if convention.activation else 0
        return OperationCost(0.0, elements)
    if name in _COMPUTE:
        output = next(iter(_tensors(result)))  # the indices of a max pooling are bookkeeping
        read = _elements(args)
        if name == "convolution" and not convention.strided_input:
            read += _ideal_input(args, result) - args[0].numel()
        return OperationCost(_COMPUTE[name](args, result), read + output.numel())
    return None


def is_normalization(module: torch.nn.Module) -> bool:
    """Whether a module's parameters are those of a normalisation."""
    kinds = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm)
    rms = getattr(torch.nn, "RMSNorm", None)
    return isinstance(module, kinds) or (rms is not None and isinstance(module, rms))
