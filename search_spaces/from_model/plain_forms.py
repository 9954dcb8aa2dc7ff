"""Layers of a library that are a plain layer and something without weights behind it, as these two.

A subclass of a layer may do anything with its weights, so it stays as it is. What these do is known, and tried.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import nn

__all__ = ["with_plain_layers"]


def with_plain_layers(model: nn.Module, copied: bool) -> nn.Module:
    """Return the model with timm's combined layers taken apart; itself, if it has none.

    ``BatchNormAct2d`` becomes a ``Sequential`` of its BatchNorm2d, its ``drop`` and its ``act``, so that ``bn1.weight``
    is called ``bn1.norm.weight``; timm's ``LayerNorm`` and ``Linear`` become torch's, under their own names.

    Args:
        model: the given one.
        copied: leave it as it is and change a copy.
    """
    if not any(_kind(layer) for layer in model.modules()):
        return model
    model = copy.deepcopy(model) if copied else model
    for path, layer in list(model.named_modules()):
        kind = _kind(layer)
        if kind is None or not path or layer._forward_hooks or layer._forward_pre_hooks:
            continue
        plain = _FORMS[kind](layer)
        if _same(layer, plain):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, plain)
    return model


def _kind(layer: nn.Module) -> str | None:
    name = type(layer).__name__
    return name if type(layer).__module__.startswith("timm.layers.") and name in _FORMS else None


def _norm_act(layer: Any) -> nn.Module:
    settings = {name: getattr(layer, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
    norm = _with_tensors_of(layer, nn.BatchNorm2d(layer.num_features, **settings, device="meta"))
    parts = nn.Sequential()
    parts.add_module("norm", norm)
    for name in ("drop", "act"):
        if not isinstance(part := getattr(layer, name), nn.Identity):
            parts.add_module(name, part)
    return parts.train(layer.training)


def _layer_norm(layer: Any) -> nn.Module:
    bias = layer.elementwise_affine and layer.bias is not None
    norm = nn.LayerNorm(layer.normalized_shape, layer.eps, layer.elementwise_affine, bias, device="meta")
    return _with_tensors_of(layer, norm).train(layer.training)


def _linear(layer: Any) -> nn.Module:
    linear = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
    return _with_tensors_of(layer, linear).train(layer.training)


def _with_tensors_of(layer: nn.Module, plain: nn.Module) -> nn.Module:
    """Let a plain layer have the parameters and buffers of another one, not copies."""
    for name, parameter in layer.named_parameters(recurse=False):
        setattr(plain, name, parameter)
    for name, buffer in layer.named_buffers(recurse=False):
        setattr(plain, name, buffer)
    return plain


def _same(layer: nn.Module, plain: nn.Module) -> bool:
    """Whether both give the same, in evaluation; without values to compare, on the word of their names."""
    weights = next((each for each in layer.parameters(recurse=False)), None)
    if weights is None or weights.is_meta:
        return weights is not None
    generator = torch.Generator().manual_seed(0)
    last = weights.shape[1:] if isinstance(layer, nn.Linear) else weights.shape
    shape = (2, len(weights), 3, 3) if isinstance(layer, nn.BatchNorm2d) else (2, 3, *last)
    inputs = torch.randn(shape, generator=generator, device="cpu").to(weights)
    modes = [(module, module.training) for each in (layer, plain) for module in each.modules()]
    try:
        with torch.no_grad():
            return torch.equal(layer.eval()(inputs.clone()), plain.eval()(inputs.clone()))
    finally:
        for module, mode in modes:
            module.training = mode


_FORMS: Final[Mapping[str, Callable[[Any], nn.Module]]] = {
    "BatchNormAct2d": _norm_act,
    "LayerNorm": _layer_norm,
    "Linear": _linear,
}
