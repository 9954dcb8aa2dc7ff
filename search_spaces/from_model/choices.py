"""Which sizes each group of channels may have, under which label, and what stays fixed for which reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nni.mutable.utils import label as full_label
from torch import nn

from .groups import Axis, Group
from .restrictions import matches
from .tracing import LayerUse, TracedModel

__all__ = ["Choices", "Options", "choices_of"]

MAX_LABELS = 3
"""Choices that one layer's size may depend on: its cost is counted at each of their joint values."""
KEEP, SKIP = "keep", "skip"


@dataclass(frozen=True)
class Options:
    """What may be chosen.

    Attributes:
        widths: shares of a group's channels, each in (0, 1].
        depth: whether blocks with an identity shortcut may be left out.
        kernels: sizes of depthwise kernels, odd; those below a layer's own may take its place.
        min_channels: the fewest channels of a group.
        keep: names of modules that stay as they are.
    """

    widths: tuple[float, ...]
    depth: bool
    kernels: tuple[int, ...]
    min_channels: int
    keep: tuple[str, ...]


@dataclass
class Choices:
    """The choices of a space.

    Attributes:
        values: candidates by label, the given model's first.
        label_of: the label of each group that can be cut.
        blocks: path of the block by label.
        kernels: path of the layer by label.
        fixed: reason by path, for what stays as it is.
    """

    values: dict[str, list[Any]] = field(default_factory=dict)
    label_of: dict[int, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)


def choices_of(traced: TracedModel, options: Options) -> Choices:
    """Decide on the labels; groups that get none are marked as fixed in ``traced``."""
    choices = Choices(fixed=dict(traced.fixed))
    free = {}
    for index in traced.groups.roots():
        group = traced.groups[index]
        sizes = [] if group.fixed else _sizes(group, options)
        if not group.fixed and len(sizes) < 2:
            group.fixed = f"has {group.size} channels, of which none can go (min_channels={options.min_channels})"
        if not group.fixed:
            free[index] = sizes
    owner = _shared(traced, free)
    for index, sizes in free.items():
        group = traced.groups[index]
        if not group.fixed:
            label = full_label([traced.groups[owner.get(index, index)].origin, "width"])
            choices.label_of[index] = label
            choices.values[label] = sizes
    for index in traced.groups.roots():
        if reason := traced.groups[index].fixed:
            choices.fixed.update(dict.fromkeys(traced.groups[index].makers, reason))
    for use in traced.layers.values():
        kernels = _kernels(use.layer, options) if not matches(use.path, options.keep) else []
        if use.path and len(kernels) > 1:
            label = full_label([use.path, "kernel"])
            choices.kernels[label] = use.path
            choices.values[label] = kernels
    if options.depth:
        choices.blocks = {full_label([path, "block"]): path for path in traced.blocks}
        choices.values.update({label: [KEEP, SKIP] for label in choices.blocks})
    return choices


def _sizes(group: Group, options: Options) -> list[int]:
    blocks = group.size // group.block
    least = math.ceil(options.min_channels / group.block)
    counts = {max(least, round(share * blocks)) for share in options.widths}
    return [group.size, *sorted((n * group.block for n in counts if n < blocks), reverse=True)]


def _kernels(layer: nn.Module, options: Options) -> list[int]:
    if not isinstance(layer, (nn.Conv1d, nn.Conv2d)) or not 1 < layer.groups == layer.in_channels:
        return []
    size = layer.kernel_size[0]
    if set(layer.kernel_size) != {size} or set(layer.dilation) != {1} or set(layer.padding) != {size // 2}:
        return []
    if layer.padding_mode != "zeros":
        return []
    return [size, *sorted({k for k in options.kernels if k < size}, reverse=True)] if size % 2 else []


def _shared(traced: TracedModel, free: dict[int, list[int]]) -> dict[int, int]:
    """Let groups that meet in a concatenation share a label where too many would decide about one layer.

    Returns:
        For a group the one whose label it has, if that is another.
    """
    owner: dict[int, int] = {}

    def labels(axes: Sequence[Axis | None]) -> list[int]:
        roots = [root for axis in axes for root in traced.groups.roots_of(axis) if not traced.groups[root].fixed]
        return list(dict.fromkeys(owner.get(root, root) for root in roots))

    def merge(first: int, second: int) -> None:
        owner[second] = first
        for index, other in owner.items():
            if other == second:
                owner[index] = first

    for use in traced.layers.values():
        axes = (use.inputs, use.outputs)
        if len(labels(axes)) <= MAX_LABELS:
            continue
        by_sizes: dict[tuple[int, ...], int] = {}
        for index in labels([use.inputs]):
            first = by_sizes.setdefault(tuple(free[index]), index)
            if first != index:
                merge(first, index)
        while len(left := labels(axes)) > MAX_LABELS:
            smallest = min(labels([use.inputs]) or left, key=lambda index: traced.groups[index].size)
            for index in [smallest, *(i for i, o in owner.items() if o == smallest)]:
                traced.groups[index].fixed = _too_many(use)
    return owner


def _too_many(use: LayerUse) -> str:
    return f"would be one of more than {MAX_LABELS} choices that decide about '{use.path}'"
