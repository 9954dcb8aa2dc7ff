"""Costs of layers that read only some of a cell's nodes, see :class:`~snas_nni.supernet.MixedCell`.

The supernet is counted with and without each group of channels that a child may lack. Its layers have weights for all
of them, so a pass without some takes the weights that are left, as the child does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from snas_nni.choices import OneOf
from snas_nni.resources.polynomial import Polynomial
from snas_nni.resources.trace import Owner

__all__ = ["fitted", "lacking", "owner_of", "resolved"]


def fitted(name: str, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Tensor | None, int]:
    """Narrow the weights of an operation to the channels of its input.

    Args:
        name: of the operation, without its namespace.
        args: its arguments.

    Returns:
        The arguments that fit, the weight that was narrowed (None if none was), and how many of its elements, and of
        the tensors that belong to it, were left out.
    """
    if name == "convolution" and not args[6]:
        images, weight, bias, groups = args[0], args[1], args[2], args[8]
        channels = images.shape[1]
        if groups == 1 and channels < weight.shape[1]:
            return (images, weight[:, :channels], *args[2:]), weight, weight[:, channels:].numel()
        if groups > 1 and channels < groups and weight.shape[:2] == (groups, 1):
            rest = (None if bias is None else bias[:channels], *args[3:8], channels)
            lost = weight[channels:].numel() + (0 if bias is None else bias[channels:].numel())
            return (images, weight[:channels], *rest), weight, lost
    if name in ("addmm", "mm"):
        inputs, weight = args[-2:]
        if inputs.shape[1] < weight.shape[0]:
            return (*args[:-1], weight[: inputs.shape[1]]), weight, weight[inputs.shape[1] :].numel()
    if name.endswith("batch_norm") and isinstance(args[3], Tensor) and args[0].shape[1] < args[3].shape[0]:
        channels = args[0].shape[1]
        narrowed = [t[:channels] if isinstance(t, Tensor) else t for t in args[1:5]]
        lost = sum(t.shape[0] - channels for t in args[1:3] if isinstance(t, Tensor))
        return (args[0], *narrowed, *args[5:]), args[1], lost
    return args, None, 0


def lacking(conditions: Mapping[str, Polynomial]) -> dict[str, OneOf]:
    """A choice between having and lacking for each group of channels, for :func:`operation_polynomials`."""
    return {name: OneOf(name, (False, True)) for name in conditions}


def resolved(polynomial: Polynomial, conditions: Mapping[str, Polynomial]) -> Polynomial:
    """Put what decides about groups of channels in place of the entries that stand for lacking them."""
    if not any(label in conditions for term in polynomial.terms for label, _ in term):
        return polynomial
    result = []
    for term, value in polynomial.terms.items():
        part = Polynomial.constant(value)
        for label, index in term:
            part = part * (conditions[label] if label in conditions else Polynomial.entry(label, index))
        result.append(part)
    return Polynomial.sum(result)


def owner_of(owner: Owner, conditions: Mapping[str, Polynomial]) -> Owner:
    """The choice that decides, where an operation was found to depend on a group of channels."""
    if owner is None or owner[0] not in conditions:
        return owner
    return min(label for term in conditions[owner[0]].terms for label, _ in term), 0
