"""The types of a network's numbers, where the precision of a training changes them.

With ``64-true``, ``bf16-true`` or ``16-true`` Lightning turns all weights into another type and leaves them so. What a
run writes has the types that its code makes, so that it is built again, evaluated and exported like any other: from 16
bits to 32 nothing is lost, and what is shown is measured on what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["NumberTypes", "in_types", "number_types", "put_types"]

NumberTypes = dict[str, torch.dtype]
"""The type of each parameter and buffer, by its name."""

Network = TypeVar("Network", bound=nn.Module)


def number_types(network: nn.Module) -> NumberTypes:
    """Return what types the numbers of a network have, those that no ``state_dict`` keeps included."""
    return {name: tensor.dtype for name, tensor in _tensors(network).items()}


def put_types(network: Network, types: NumberTypes) -> Network:
    """Give the numbers of a network these types, in place; what ``types`` does not name stays as it is."""
    for name, tensor in _tensors(network).items():
        if types.get(name, tensor.dtype) != tensor.dtype:
            tensor.data = tensor.data.to(types[name])
    return network


def in_types(state: Mapping[str, Tensor], types: NumberTypes) -> dict[str, Tensor]:
    """Return a ``state_dict`` in these types."""
    return {name: tensor.to(types.get(name, tensor.dtype)) for name, tensor in state.items()}


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    # Tied weights under each of their names, as in a state_dict.
    return {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }
