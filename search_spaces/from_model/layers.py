"""The layers whose sizes can be chosen: what they do with channels, and how they are made anew in another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nni.nas.nn.pytorch import (
    MutableBatchNorm1d,
    MutableBatchNorm2d,
    MutableConv1d,
    MutableConv2d,
    MutableLayerNorm,
    MutableLinear,
)
from torch import nn

from .groups import Axis, Groups

__all__ = ["KINDS", "LayerKind"]


@dataclass(frozen=True)
class LayerKind:
    """One type of layer.

    Attributes:
        mutable: NNI's form of it.
        channel_dim: which dimension of its input holds the channels that it works on.
        outputs: gets the groups, the layer, its path and the axis of its input (None if that keeps its size); returns
            the axis of its output, and why the sizes cannot change if they cannot.
        arguments: gets the layer and its sizes (numbers or expressions) before and behind; returns the arguments of
            ``mutable``.
        tensors: gets the layer; for each of its parameters and buffers the axis of each dimension: "in", "out" or "".
        refusal: gets the layer; why it cannot be made anew, empty if it can.
    """

    mutable: Callable[..., nn.Module]
    channel_dim: int
    outputs: Callable[[Groups, Any, str, Axis | None], tuple[Axis | None, str]]
    arguments: Callable[[Any, Any, Any], dict[str, Any]]
    tensors: Callable[[Any], Mapping[str, tuple[str, ...]]]
    refusal: Callable[[Any], str] = lambda layer: ""


_Convolution = nn.Conv1d | nn.Conv2d
_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def _convolution_outputs(groups: Groups, layer: _Convolution, path: str, axis: Axis | None) -> tuple[Axis | None, str]:
    if layer.groups == 1:
        return groups.new(layer.out_channels, path), ""
    inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    if axis is None:
        return None, "is a grouped convolution of inputs whose number is fixed"
    if inputs == 1:
        return (axis if outputs == 1 else groups.repeated(axis, outputs)), ""
    if inputs == outputs and groups.keep_together(axis, inputs):
        return axis, ""
    return None, f"is a grouped convolution of {inputs} to {outputs} channels, which do not go with groups of its input"


def _convolution_arguments(layer: _Convolution, inputs: Any, outputs: Any) -> dict[str, Any]:
    per_group = layer.in_channels // layer.groups
    groups: Any = 1
    if layer.groups != 1:
        groups = inputs if per_group == 1 else inputs // per_group
    return {
        "in_channels": inputs,
        "out_channels": outputs,
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": groups,
        "bias": layer.bias is not None,
        "padding_mode": layer.padding_mode,
    }


def _convolution_tensors(layer: _Convolution) -> Mapping[str, tuple[str, ...]]:
    along_the_kernel = ("",) * len(layer.kernel_size)
    return {"weight": ("out", "in" if layer.groups == 1 else "", *along_the_kernel), "bias": ("out",)}


def _linear_arguments(layer: nn.Linear, inputs: Any, outputs: Any) -> dict[str, Any]:
    return {"in_features": inputs, "out_features": outputs, "bias": layer.bias is not None}


def _batch_norm_arguments(layer: _BatchNorm, inputs: Any, outputs: Any) -> dict[str, Any]:
    settings = {name: getattr(layer, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
    return {"num_features": inputs, **settings}


def _batch_norm_refusal(layer: _BatchNorm) -> str:
    return "averages its statistics over all batches (momentum=None)" if layer.momentum is None else ""


def _layer_norm_arguments(layer: nn.LayerNorm, inputs: Any, outputs: Any) -> dict[str, Any]:
    affine = layer.elementwise_affine
    return {
        "normalized_shape": inputs,
        "eps": layer.eps,
        "elementwise_affine": affine,
        "bias": affine and layer.bias is not None,
    }


def _layer_norm_outputs(groups: Groups, layer: nn.LayerNorm, path: str, axis: Axis | None) -> tuple[Axis | None, str]:
    if axis is not None and len(axis) > 1:
        return axis, "normalizes a concatenation"
    return axis, ""


def _convolution(mutable: Callable[..., nn.Module]) -> LayerKind:
    return LayerKind(
        mutable=mutable,
        channel_dim=1,
        outputs=_convolution_outputs,
        arguments=_convolution_arguments,
        tensors=_convolution_tensors,
    )


def _batch_norm(mutable: Callable[..., nn.Module]) -> LayerKind:
    return LayerKind(
        mutable=mutable,
        channel_dim=1,
        outputs=lambda groups, layer, path, axis: (axis, ""),
        arguments=_batch_norm_arguments,
        tensors=lambda layer: dict.fromkeys(("weight", "bias", "running_mean", "running_var"), ("in",)),
        refusal=_batch_norm_refusal,
    )


KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv1d: _convolution(MutableConv1d),
    nn.Conv2d: _convolution(MutableConv2d),
    nn.Linear: LayerKind(
        mutable=MutableLinear,
        channel_dim=-1,
        outputs=lambda groups, layer, path, axis: (groups.new(layer.out_features, path), ""),
        arguments=_linear_arguments,
        tensors=lambda layer: {"weight": ("out", "in"), "bias": ("out",)},
    ),
    nn.BatchNorm1d: _batch_norm(MutableBatchNorm1d),
    nn.BatchNorm2d: _batch_norm(MutableBatchNorm2d),
    nn.LayerNorm: LayerKind(
        mutable=MutableLayerNorm,
        channel_dim=-1,
        outputs=_layer_norm_outputs,
        arguments=_layer_norm_arguments,
        tensors=lambda layer: dict.fromkeys(("weight", "bias"), ("in",)),
        refusal=lambda layer: "normalizes several dimensions" if len(layer.normalized_shape) > 1 else "",
    ),
}
"""By the exact type of the layer: a subclass may do something else with its weights."""
