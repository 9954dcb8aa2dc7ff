"""Which channels of a group matter most, so that the first ones are worth keeping."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .groups import Axis, Groups
from .layers import KINDS
from .tracing import LayerUse, TracedModel

__all__ = ["MEASURES", "order_of_channels"]

MEASURES = ("magnitude", "batch_norm", "taylor", "none")


def order_of_channels(traced: TracedModel, measure: str) -> dict[int, Tensor]:
    """Channels of each group that can be cut, the most important first; those of a block stay together.

    * magnitude: the L1 norm of all weights of a channel, in every layer of the group, each relative to the mean over
      the channels of its tensor.
    * batch_norm: the scales of its normalizations (Liu et al., Network Slimming, ICCV 2017); magnitude in groups that
      have none.
    * taylor: |sum of weight * gradient| of the filters, the first-order change of the loss without the channel
      (Molchanov et al., CVPR 2019).
    * none: as they are.

    Args:
        traced: a pass through the model.
        measure: one of ``MEASURES``.

    Raises:
        ValueError: "taylor" for a model without gradients.
    """
    order = {}
    parts = list(_parts(traced))
    gradients = any(tensor.grad is not None for _, _, tensor in _weights(traced))
    if measure == "taylor" and not gradients:
        raise ValueError(
            "importance='taylor' needs gradients: run loss.backward() for some batches on the model before, or take "
            "importance='magnitude'"
        )
    for index in traced.groups.roots():
        group = traced.groups[index]
        if group.fixed:
            continue
        mine = [(use, name, dim, axis) for use, name, dim, axis in parts if index in traced.groups.roots_of(axis)]
        norms = [
            each for each in mine if isinstance(each[0].layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and each[1] == "weight"
        ]
        if any(getattr(use.layer, name).is_meta for use, name, _, _ in mine) or measure == "none":
            order[index] = torch.arange(group.size, device="cpu")
            continue
        scores = torch.zeros(group.size, dtype=torch.float64, device="cpu")
        for use, name, dim, axis in norms if measure == "batch_norm" and norms else mine:
            tensor = getattr(use.layer, name)
            if measure == "taylor":
                if tensor.grad is None or dim != 0:
                    continue
                change = _sums(tensor.detach() * tensor.grad, dim).abs()
                scores += _by_channel(traced.groups, index, axis, change)
                continue
            found = _by_channel(traced.groups, index, axis, _sums(tensor.detach().abs(), dim))
            scores += found / found.mean().clamp_min(1e-12)
        blocks = scores.view(-1, group.block).sum(1).argsort(descending=True, stable=True)
        order[index] = (blocks[:, None] * group.block + torch.arange(group.block, device="cpu")).flatten()
    return order


def _sums(values: Tensor, dim: int) -> Tensor:
    """Sums over all dimensions but one; shape ``(size of dim,)``."""
    return values.double().movedim(dim, 0).reshape(values.shape[dim], -1).sum(1)


def _weights(traced: TracedModel) -> Iterator[tuple[LayerUse, str, nn.Parameter]]:
    for use in traced.layers.values():
        for name, parameter in use.layer.named_parameters(recurse=False):
            yield use, name, parameter


def _parts(traced: TracedModel) -> Iterator[tuple[LayerUse, str, int, Axis]]:
    """Every dimension of a weight that holds channels, with their axis; biases say nothing about importance."""
    for use, name, _ in _weights(traced):
        roles = KINDS[type(use.layer)].tensors(use.layer)[name]
        for dim, role in enumerate(roles):
            axis = {"in": use.inputs, "out": use.outputs}.get(role)
            if axis is not None and name == "weight":
                yield use, name, dim, axis


def _by_channel(groups: Groups, index: int, axis: Axis, values: Tensor) -> Tensor:
    """Sums over the indices of each channel of one group; shape ``(channels,)``."""
    total = values.new_zeros(groups[index].size)
    start = 0
    for segment in axis:
        if segment.group is not None and groups.root(segment.group) == index:
            total += values[start : start + segment.size].view(-1, segment.repeat).sum(1)
        start += segment.size
    return total.cpu()
