"""Which channels a child reads of a supernet whose cells end loosely.

A cell with ``merge_op='loose_end'`` concatenates in the supernet all of its nodes, and in a child only those that no
other node uses. So the child's layers behind it have fewer input channels, and which ones they are follows from the
sample. It is found by running the supernet at the sample with NaN in the nodes that are left out: NaN travels
through whatever keeps channels apart (activations, pooling, depthwise convolutions, reshaping) up to the layer that
mixes them, in any network and without knowing how its parts are connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.supernet.cell import MixedCell
from snas_nni.supernet.evaluating import evaluating

__all__ = ["InputMemory", "channels_read", "slice_like"]

_MIXING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class InputMemory:
    """Keeps the shapes of what a supernet with loose ends last ran on, reduced to one example.

    A forward hook of the supernet. Never copied, like the sample that the supernet reads.

    Attributes:
        seen: positional and named arguments, tensors as meta tensors; None before the first run.
    """

    def __init__(self, distribution: ArchitectureDistribution) -> None:
        self.distribution = distribution
        self.seen: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> InputMemory:
        return self

    def __call__(self, supernet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take note of a run."""

        def shape_only(value: Any) -> Any:
            return torch.empty_like(value[:1], device="meta") if isinstance(value, Tensor) and value.dim() else value

        self.seen = tree_map(shape_only, (args, kwargs))

    @staticmethod
    def attach(supernet: nn.Module, distribution: ArchitectureDistribution) -> None:
        """Give a supernet a memory if it has loose ends."""
        if _loose_cells(supernet):
            supernet.register_forward_pre_hook(InputMemory(distribution), with_kwargs=True)

    @staticmethod
    def of(supernet: nn.Module) -> InputMemory | None:
        """The memory that was attached."""
        return next((h for h in supernet._forward_pre_hooks.values() if isinstance(h, InputMemory)), None)


def channels_read(supernet: nn.Module, sample: Mapping[str, Any]) -> dict[nn.Module, Tensor]:
    """Find the layers of a supernet whose input a child narrows.

    Args:
        supernet: after at least one run; one that has not run yet has nothing but initial weights.
        sample: NNI sample of the child.

    Returns:
        For each layer that meets left-out channels, a mask of its input channels, shape ``(channels,)``, true where
        the child has them. Empty if no cell leaves a node out.
    """
    memory = InputMemory.of(supernet)
    if memory is None or memory.seen is None or all(cell.keeps_all(sample) for cell in _loose_cells(supernet)):
        return {}
    distribution, masks = memory.distribution, dict[nn.Module, Tensor]()
    watched = [m for m in supernet.modules() if isinstance(m, (*_MIXING, nn.modules.batchnorm._NormBase))]
    hooks = [module.register_forward_pre_hook(_watch(masks)) for module in watched]
    try:
        with (
            torch.random.fork_rng(devices=[]),
            evaluating(supernet),
            distribution.current.marking_dropped_channels(),
            distribution.use(distribution.one_hot_sample(sample)),
        ):
            args, kwargs = _example(memory.seen, next(supernet.parameters()))
            supernet(*args, **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return masks


def _example(seen: Any, like: Tensor) -> Any:
    generator = torch.Generator().manual_seed(0)

    def filled(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value.is_floating_point():
            return torch.rand(value.shape, generator=generator, dtype=torch.float32).to(like.device, value.dtype)
        return torch.zeros(value.shape, dtype=value.dtype, device=like.device)

    return tree_map(filled, seen)


def slice_like(tensor: Tensor, wanted: torch.Size, mask: Tensor | None) -> Tensor | None:
    """A tensor of the supernet without the input channels that ``mask`` leaves out; None if that is not ``wanted``."""
    if mask is None or tensor.shape == wanted:
        return tensor if tensor.shape == wanted else None
    kept = mask.nonzero().flatten()
    for dim, (have, want) in enumerate(zip(tensor.shape, wanted, strict=False)):
        if have != want and (have, want) == (len(mask), len(kept)):
            tensor = tensor.index_select(dim, kept.to(tensor.device))
    return tensor if tensor.shape == wanted else None


def _loose_cells(supernet: nn.Module) -> list[MixedCell]:
    return [m for m in supernet.modules() if isinstance(m, MixedCell) and m.merge_op == "loose_end"]


def _watch(masks: dict[nn.Module, Tensor]) -> Callable[..., Any]:
    def watch(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        images = inputs[0]
        channel = images.dim() - 1 if isinstance(module, nn.Linear) else 1
        missing = images.isnan().transpose(0, channel).flatten(1).any(1)  # padding surrounds NaN with zeros
        if not missing.any():
            return None
        masks[module] = ~missing
        groups = getattr(module, "groups", 1)
        if not isinstance(module, _MIXING) or groups != 1:
            return None  # it keeps channels apart, so the mark goes on
        return (images.nan_to_num(0.0), *inputs[1:])

    return watch
