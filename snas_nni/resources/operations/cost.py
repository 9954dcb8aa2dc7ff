"""What one tensor operation costs, by the tables of :mod:`macs` and :mod:`names`.

MACs are multiply-accumulates: a fused multiply-add is one. Memory access is in elements, read plus written,
weights included (the paper's "MAC", a name this project keeps for nothing). Elementwise sums and products and the
movement of data are free by convention. Normalization and activation are counted or not by the convention; the
paper's official code does not count them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snas_nni.resources.operations.macs import HANDLERS, Handler, ideal_input, tensors_in
from snas_nni.resources.operations.names import ACTIVATION, FREE, NORMALIZATION

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


def _elements(values: Any) -> int:
    return sum(_distinct(tensor) for tensor in tensors_in(values))


def _distinct(tensor: Tensor) -> int:
    # What is only repeated (``expand``) lies in memory once. How far weights are repeated for a matrix product depends
    # on the memory order of the other factor.
    return math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)


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
    for known in (FREE, NORMALIZATION, ACTIVATION):
        known.discard(name)
    HANDLERS.pop(name, None)
    if macs is None:
        FREE.add(name)
    else:
        HANDLERS[name] = macs


def is_free_by_kind(operation: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether an operation is free by what PyTorch says of it, whatever its name.

    Free are views, also those that a tensor is changed into in place (channels-last pooling calls ``as_strided_``),
    what is done element by element, and what is made from nothing.
    """
    tags = operation.tags
    kinds = (torch.Tag.pointwise, torch.Tag.inplace_view)
    return operation.is_view or any(kind in tags for kind in kinds) or not any(True for _ in tensors_in(args))


def cost_of_operation(name: str, args: tuple[Any, ...], result: Any, convention: Convention) -> OperationCost | None:
    """Cost of one call, or None for an operation that nobody taught the counter.

    Args:
        name: ATen name without overload. An operation in place (``celu_``) costs what the one of that name (``celu``)
            does, unless it was taught by itself.
        args: its positional arguments.
        result: what it returned.
        convention: what counts.
    """
    if not any(name in known for known in (FREE, NORMALIZATION, ACTIVATION, HANDLERS)):
        name = name.removesuffix("_")
    if name in FREE:
        return OperationCost()
    if name in NORMALIZATION:
        if not convention.normalization:
            return OperationCost()
        output = next(iter(tensors_in(result)))
        parameters = sum(t.numel() for t in tensors_in(args[1:]) if t.dim() == 1)
        return OperationCost(float(output.numel()), args[0].numel() + output.numel() + parameters)
    if name in ACTIVATION:
        elements = _elements(args) + next(iter(tensors_in(result))).numel() if convention.activation else 0
        return OperationCost(0.0, elements)
    if name in HANDLERS:
        output = next(iter(tensors_in(result)))  # the indices of a max pooling are bookkeeping
        read = _elements(args)
        if name == "convolution" and not convention.strided_input:
            read += ideal_input(args, result) - args[0].numel()
        return OperationCost(HANDLERS[name](args, result), read + output.numel())
    return None


def is_normalization(module: torch.nn.Module) -> bool:
    """Whether a module's parameters are those of a normalisation."""
    kinds = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm)
    rms = getattr(torch.nn, "RMSNorm", None)
    return isinstance(module, kinds) or (rms is not None and isinstance(module, rms))
