"""Puts mutable layers and choices of blocks into a model; plain layers where a sample fixes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nni
import torch
from nni.mutable import ensure_frozen
from nni.nas.nn.pytorch import LayerChoice
from torch import Tensor, nn

from .choices import KEEP, SKIP, Choices
from .groups import Axis
from .layers import KINDS
from .tracing import LayerUse, TracedModel

__all__ = ["put_choices"]


def put_choices(model: nn.Module, traced: TracedModel, choices: Choices, order: Mapping[int, Tensor]) -> None:
    """Replace layers and blocks of ``model``, in place.

    To be called in the constructor of a model space, which makes layers of the first (the given) sizes, or within
    ``nni.nas.space.model_context``, where NNI makes plain layers of the sizes of a sample.

    Args:
        model: the traced one, or a copy.
        traced: the pass.
        choices: the labels.
        order: of the channels of each group, the ones to keep longest first.
    """
    mutables = {label: nni.choice(label, values) for label, values in choices.values.items()}
    widths = {index: mutables[label] for index, label in choices.label_of.items()}
    kernels = {path: mutables[label] for label, path in choices.kernels.items()}
    for use in traced.layers.values():
        cut = any(index in widths for axis in (use.inputs, use.outputs) for index in traced.groups.roots_of(axis))
        if cut or use.path in kernels:
            _Replacement(model, traced, widths, order).replace(use, kernels.get(use.path))
    for label, path in choices.blocks.items():
        block = model.get_submodule(path)
        _put(model, path, LayerChoice({KEEP: block, SKIP: nn.Identity()}, label=label))


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


class _Replacement:
    def __init__(
        self, model: nn.Module, traced: TracedModel, widths: Mapping[int, Any], order: Mapping[int, Tensor]
    ) -> None:
        self.model = model
        self.groups = traced.groups
        self.widths = widths
        self.order = order

    def replace(self, use: LayerUse, kernel: Any) -> None:
        kind = KINDS[type(use.layer)]
        layer = self.model.get_submodule(use.path)
        tensors = kind.tensors(layer)
        sizes = {
            role: self.expression(axis, _size(layer, tensors, role))
            for role, axis in (("in", use.inputs), ("out", use.outputs))
        }
        arguments = kind.arguments(layer, sizes["in"], sizes["out"])
        if kernel is not None:
            arguments |= {"kernel_size": kernel, "padding": kernel // 2}
        own = next(iter((*layer.parameters(), *layer.buffers())), torch.empty(0))
        with own.device:
            new = kind.mutable(**arguments)
        new.to(own.device, own.dtype if own.is_floating_point() else None).train(layer.training)
        if not own.is_meta:
            self.copy(layer, new, tensors, {"in": use.inputs, "out": use.outputs})
        _put(self.model, use.path, new)

    def expression(self, axis: Axis | None, size: int) -> Any:
        """The size of a dimension: a number, a choice, a sum of choices."""
        if axis is None:
            return size
        total: Any = None
        for segment in axis:
            width = None if segment.group is None else self.widths.get(self.groups.root(segment.group))
            if width is None:
                term: Any = segment.size
            else:
                term = width if segment.repeat == 1 else width * segment.repeat
            total = term if total is None else total + term
        return total

    def copy(
        self, layer: nn.Module, new: nn.Module, tensors: Mapping[str, tuple[str, ...]], axes: Mapping[str, Axis | None]
    ) -> None:
        """Give the new layer the weights of the old one, of each group the channels that it has, in their order."""
        source: dict[str, Tensor] = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
        target: dict[str, Tensor] = {**dict(new.named_parameters()), **dict(new.named_buffers())}
        with torch.no_grad():
            for name, tensor in source.items():
                values = tensor.detach()
                for dim, role in enumerate(tensors.get(name, ())):
                    if (axis := axes.get(role)) is not None:
                        values = values.index_select(dim, self.places(axis).to(values.device))
                if values.shape != target[name].shape:  # a smaller kernel is the middle of the larger one
                    for dim, side in enumerate(target[name].shape[2:], start=2):
                        values = values.narrow(dim, (values.shape[dim] - side) // 2, side)
                target[name].copy_(values)
                target[name].requires_grad_(tensor.requires_grad)

    def places(self, axis: Axis) -> Tensor:
        """Indices of a dimension that a layer keeps, in order."""
        found, start = [], 0
        for segment in axis:
            root = -1 if segment.group is None else self.groups.root(segment.group)
            if root in self.widths:
                kept = self.order[root][: ensure_frozen(self.widths[root])]
                runs = torch.arange(segment.repeat, device="cpu")
                found.append(start + (kept[:, None] * segment.repeat + runs).flatten())
            else:
                found.append(torch.arange(start, start + segment.size, device="cpu"))
            start += segment.size
        return torch.cat(found)


def _size(layer: nn.Module, tensors: Mapping[str, tuple[str, ...]], role: str) -> int:
    names = {"in": ("in_channels", "in_features", "num_features"), "out": ("out_channels", "out_features")}
    for name in names[role]:
        if hasattr(layer, name):
            return int(getattr(layer, name))
    return int(layer.normalized_shape[0]) if isinstance(layer, nn.LayerNorm) else 0
