"""Copies the supernet's weights into a child, whichever way the child was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies
import torch
from nni.nas.nn.pytorch import ParametrizedModule, Repeat
from nni.nas.oneshot.pytorch.supermodule.operation import MixedOperation
from torch import nn

from snas_nni.derivation.loose_ends import channels_read, slice_like
from snas_nni.supernet.arguments import MixedArguments
from snas_nni.supernet.cell import MixedCell
from snas_nni.supernet.frozen import match
from snas_nni.supernet.layer import MixedLayer
from snas_nni.supernet.stage import PredecessorReader

__all__ = ["inherit_weights"]


def inherit_weights(child: nn.Module, supernet: nn.Module, sample: Mapping[str, Any]) -> list[str]:
    """Copy parameters and buffers (BatchNorm statistics included) of the chosen candidates into ``child``.

    Walks both trees side by side and follows ``sample`` wherever the supernet has a choice. Spaces whose ``freeze``
    builds a new network (NNI's NASNet family) get their weights this way. Layers behind a cell with loose ends get
    the columns of the nodes that the child's cell outputs, once the supernet has run.

    Args:
        child: changed in place.
        supernet: the mutated model space.
        sample: the NNI sample that ``child`` stands for.

    Returns:
        Names in ``child`` that kept their own values, because the supernet has no tensor of that shape for them.
    """
    walk = _Walk(dict(sample), channels_read(supernet, sample))
    with torch.no_grad():
        walk.inherit(child, supernet, "", {})
    return walk.left


Ties = dict[nn.Parameter, nn.Parameter]
"""The child's parameter for each one of the supernet: what the supernet shares, the child shares (NNI copies it)."""


class _Walk:
    def __init__(self, sample: dict[str, Any], masks: Mapping[nn.Module, torch.Tensor]) -> None:
        self.sample = sample
        self.masks = masks
        self.left: list[str] = []

    def inherit(self, child: nn.Module, source: nn.Module | None, path: str, ties: Ties) -> None:
        mask = self.masks.get(source) if source is not None else None
        if isinstance(source, MixedLayer):
            chosen = source.reader.choice.categories(self.sample[source.label])[0]
            return self.inherit(child, source[source.reader.choice.candidates[chosen]], path, ties)
        if isinstance(source, (MixedArguments, PredecessorReader)):
            return self.inherit(child, source.chosen(self.sample), path, ties)
        if isinstance(source, MixedOperation):  # this project's, and those that come with a space of NNI's
            return self.copy(child.state_dict(keep_vars=True), source.freeze(self.sample).state_dict(), mask, path)
        if isinstance(source, ParametrizedModule):
            _copy_own_settings(child, source)
        counterparts = dict(source.named_children()) if source is not None else {}
        if isinstance(source, Repeat):
            counterparts = {str(index): block for index, block in enumerate(source.blocks)}
        if isinstance(source, MixedCell):
            for inner, operation in source.chosen_operations(self.sample).items():
                # Each slot of a cell has an operation of its own, also where two chose the same.
                self.inherit(child.get_submodule(inner), operation, f"{path}{inner}.", dict(ties))
            counterparts.pop("ops")
        own, available = _own(child), _own(source) if source is not None else {}
        self.copy(own, available, mask, path)
        for name, tensor in own.items():
            if name in available and isinstance(tensor, nn.Parameter) and tensor.shape == available[name].shape:
                setattr(child, name, ties.setdefault(cast(nn.Parameter, available[name]), tensor))
        for name, module in child.named_children():
            if not (isinstance(source, MixedCell) and name in ("ops", "inputs")):
                self.inherit(module, counterparts.get(name), f"{path}{name}.", ties)
        return None

    def copy(
        self,
        tensors: Mapping[str, torch.Tensor],
        available: Mapping[str, torch.Tensor],
        mask: torch.Tensor | None,
        path: str,
    ) -> None:
        for name, tensor in tensors.items():
            part = slice_like(available[name], tensor.shape, mask) if name in available else None
            if part is None:
                self.left.append(path + name)
            else:
                match(tensor, part)
                tensor.copy_(part)


def _copy_own_settings(child: nn.Module, source: nn.Module) -> None:
    """Copy numbers that were set after construction (``bn.eps = 1e-3``): NNI builds the layer anew without them."""
    settings = vars(source)
    for name, value in vars(child).items():
        if not name.startswith("_") and name != "training" and isinstance(value, (bool, int, float)):
            setattr(child, name, settings.get(name, value))


def _own(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
