"""Copies the supernet's weights into a child, whichever way the child was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from nni.nas.nn.pytorch import ParametrizedModule, Repeat
from nni.nas.oneshot.pytorch.supermodule.operation import MixedOperation
from torch import nn

from snas_nni.supernet import MixedArguments, MixedCell, MixedLayer

__all__ = ["inherit_weights"]


def inherit_weights(child: nn.Module, supernet: nn.Module, sample: Mapping[str, Any]) -> list[str]:
    """Copy parameters and buffers (BatchNorm statistics included) of the chosen candidates into ``child``.

    Walks both trees side by side and follows ``sample`` wherever the supernet has a choice. Spaces whose ``freeze``
    builds a new network (NNI's NASNet family) get their weights this way.

    Args:
        child: changed in place.
        supernet: the mutated model space.
        sample: the NNI sample that ``child`` stands for.

    Returns:
        Names in ``child`` that kept their own values, because the supernet has no tensor of that shape for them.
    """
    left: list[str] = []
    with torch.no_grad():
        _inherit(child, supernet, dict(sample), "", left, {})
    return left


Ties = dict[nn.Parameter, nn.Parameter]
"""The child's parameter for each one of the supernet: what the supernet shares, the child shares (NNI copies it)."""


def _inherit(
    child: nn.Module, source: nn.Module | None, sample: dict[str, Any], path: str, left: list[str], ties: Ties
) -> None:
    if isinstance(source, MixedLayer):
        return _inherit(
            child, source[source.reader.choice.candidates[_index(source, sample)]], sample, path, left, ties
        )
    if isinstance(source, MixedArguments):
        return _inherit(child, source.chosen(sample), sample, path, left, ties)
    if isinstance(source, MixedOperation):  # this project's, and those that come with a space of NNI's
        child.load_state_dict(source.freeze(sample).state_dict())
        return None
    if isinstance(source, ParametrizedModule):
        _copy_own_settings(child, source)
    counterparts = dict(source.named_children()) if source is not None else {}
    if isinstance(source, Repeat):
        counterparts = {str(index): block for index, block in enumerate(source.blocks)}
    if isinstance(source, MixedCell):
        for inner, operation in source.chosen_operations(sample).items():
            # Each slot of a cell has an operation of its own, also where two chose the same.
            _inherit(child.get_submodule(inner), operation, sample, f"{path}{inner}.", left, dict(ties))
        counterparts.pop("ops")
    _copy_own_tensors(child, source, path, left, ties)
    for name, module in child.named_children():
        if not (isinstance(source, MixedCell) and name in ("ops", "inputs")):
            _inherit(module, counterparts.get(name), sample, f"{path}{name}.", left, ties)
    return None


def _copy_own_settings(child: nn.Module, source: nn.Module) -> None:
    """Copy numbers that were set after construction (``bn.eps = 1e-3``): NNI builds the layer anew without them."""
    settings = vars(source)
    for name, value in vars(child).items():
        if not name.startswith("_") and name != "training" and isinstance(value, (bool, int, float)):
            setattr(child, name, settings.get(name, value))


def _index(source: MixedLayer, sample: dict[str, Any]) -> int:
    return source.reader.choice.categories(sample[source.label])[0]


def _copy_own_tensors(child: nn.Module, source: nn.Module | None, path: str, left: list[str], ties: Ties) -> None:
    def own(module: nn.Module) -> dict[str, torch.Tensor]:
        return {
            **dict(module.named_parameters(recurse=False)),
            **dict(module.named_buffers(recurse=False)),
        }

    available = own(source) if source is not None else {}
    for name, tensor in own(child).items():
        if name in available and available[name].shape == tensor.shape:
            tensor.copy_(available[name])
            if isinstance(tensor, nn.Parameter):
                setattr(child, name, ties.setdefault(cast(nn.Parameter, available[name]), tensor))
        else:
            left.append(path + name)
