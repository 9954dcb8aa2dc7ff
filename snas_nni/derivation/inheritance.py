"""Copies the supernet's weights into a child, whichever way the child was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from nni.nas.nn.pytorch import ParametrizedModule, Repeat
from torch import nn

from snas_nni.derivation.loose_ends import channels_read, slice_like
from snas_nni.nni_compat import MixedOperation
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.frozen import match

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


_NOTHING = nn.Module()
"""Stands for a module that the supernet does not have."""


class _Walk:
    def __init__(self, sample: dict[str, Any], masks: Mapping[nn.Module, torch.Tensor]) -> None:
        self.sample = sample
        self.masks = masks
        self.left: list[str] = []

    def inherit(
        self, child: nn.Module, source: nn.Module, path: str, ties: Ties, mask: torch.Tensor | None = None
    ) -> None:
        """Give ``child`` and all modules below it their weights.

        Args:
            child: a module of the child.
            source: the supernet's module in the same place.
            path: of ``child``, with a dot at its end.
            ties: what the child shares so far.
            mask: of input channels; that of a module which ``source`` is the counterpart of.
        """
        mask = self.masks.get(source, mask)
        found = _counterpart(source, self.sample)
        if found.module is not source:
            return self.inherit(child, found.module, path, ties, mask)
        if isinstance(source, ParametrizedModule):
            _copy_own_settings(child, source)
        for inner, module in found.copies.items():
            self.inherit(child.get_submodule(inner), module, f"{path}{inner}.", dict(ties))
        copied = {inner.split(".")[0] for inner in found.copies}
        counterparts = dict(source.named_children())
        own, available = _own(child), _own(source)
        self.copy(own, available, mask, path)
        for name, tensor in own.items():
            if name in available and isinstance(tensor, nn.Parameter) and tensor.shape == available[name].shape:
                setattr(child, name, ties.setdefault(cast(nn.Parameter, available[name]), tensor))
        for name, module in child.named_children():
            if name not in copied:
                self.inherit(module, counterparts.get(name, _NOTHING), f"{path}{name}.", ties)
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


def _counterpart(source: nn.Module, sample: dict[str, Any]) -> Counterpart:
    """What a child inherits in the place of ``source``: the module itself, if no choice is made there."""
    if isinstance(source, SampledModule):
        return source.counterpart(sample)
    if isinstance(source, MixedOperation):  # comes with a space of NNI's
        return Counterpart(source.freeze(sample))
    if isinstance(source, Repeat):  # of a fixed depth
        return Counterpart(source.blocks)
    return Counterpart(source)


def _copy_own_settings(child: nn.Module, source: nn.Module) -> None:
    """Copy numbers that were set after construction (``bn.eps = 1e-3``): NNI builds the layer anew without them."""
    settings = vars(source)
    for name, value in vars(child).items():
        if not name.startswith("_") and name != "training" and isinstance(value, (bool, int, float)):
            setattr(child, name, settings.get(name, value))


def _own(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
