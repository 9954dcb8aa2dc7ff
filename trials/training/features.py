"""What a network's layers give compared with those of its teacher, where a forward pass shows both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Comparison", "Features", "attention_difference", "in_network", "value_difference", "watching"]

Comparison = Literal["values", "attention"]


def value_difference(features: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared difference of two tensors relative to the teacher's square, a scalar, 0 where both agree.

    It is mean((s - t)^2) / mean(t^2): FitNets' hint loss (Romero et al., 2015, arXiv 1412.6550, equation 3) in units
    that do not depend on how large a layer's outputs are.

    Args:
        features: s, of the network, any shape.
        teacher: t, of the same shape.
    """
    return (features - teacher).square().mean() / teacher.square().mean().clamp_min(1e-12)


def attention_difference(features: Tensor, teacher: Tensor) -> Tensor:
    """Return how differently two layers spread their activation over an image, a scalar in [0, 2].

    A map is the mean over the channels of the squares, flattened and divided by its norm; what is returned is the
    squared distance of both maps, the mean over the batch (Zagoruyko and Komodakis, 2017, arXiv 1612.03928, equation
    2, squared). The numbers of channels may differ.

    Args:
        features: of the network, shape ``(B, channels, *sides)``.
        teacher: of the teacher, shape ``(B, its channels, *sides)``.
    """
    apart = _map(features) - _map(teacher)
    return apart.square().sum(1).mean()


def _map(features: Tensor) -> Tensor:
    return functional.normalize(features.square().mean(1).flatten(1), dim=1)


_DIFFERENCES = {"values": value_difference, "attention": attention_difference}


@dataclass(frozen=True)
class Features:
    """Modules whose outputs a network learns from its teacher.

    Attributes:
        pairs: name of the teacher's module by that of the network's.
        weight: of the mean over the pairs, beside the rest of the loss; at least 0.
        compare: by what; see :func:`value_difference` and :func:`attention_difference`.
    """

    pairs: Mapping[str, str]
    weight: float
    compare: Comparison = "values"

    def loss(self, features: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor | None:
        """Return the weighted mean of the differences; None if no module of the network ran.

        A module that a step leaves out, such as one of a block that is skipped, does not count in it.

        Args:
            features: outputs by the names of the network's modules.
            teacher: by those of the teacher's.
        """
        found = [
            _DIFFERENCES[self.compare](features[mine], teacher[theirs].to(features[mine].dtype))
            for mine, theirs in self.pairs.items()
            if mine in features and theirs in teacher
        ]
        return self.weight * torch.stack(found).mean() if found else None

    def problem(self, features: Any, teacher: Any) -> str | None:
        """Say why two outputs cannot be compared; None if they can.

        Args:
            features: its output.
            teacher: of the teacher's module.
        """
        for whose, output in (("the network's", features), ("the teacher's", teacher)):
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return f"{whose} gives a {type(output).__name__}, not a tensor of real numbers"
        shapes = f"{tuple(features.shape[1:])} of the network, {tuple(teacher.shape[1:])} of the teacher"
        if self.compare == "values" and features.shape != teacher.shape:
            return (
                f"the outputs have different shapes: {shapes}. Keep the layer's channels (keep, of "
                "search_spaces.FromModel), or set distillation.feature_comparison to attention, which needs equal "
                "sides only"
            )
        if self.compare == "attention" and (features.dim() < 3 or features.shape[2:] != teacher.shape[2:]):
            return f"attention is compared over images of equal sides, but the shapes are: {shapes}"
        return None


@contextmanager
def watching(network: nn.Module, names: Any) -> Iterator[dict[str, Any]]:
    """Collect the outputs of modules in a ``with`` block, the last one of each, by name.

    Args:
        network: that runs in the block.
        names: of its modules.

    Raises:
        AttributeError: there is no module of a name.
    """
    seen: dict[str, Any] = {}

    def note(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[name] = output

        return keep

    handles = [in_network(network, name).register_forward_hook(note(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def in_network(network: nn.Module, name: str) -> nn.Module:
    """Return a module by the name that it has in a child; in a supernet whose child is a part of it, of that part.

    Raises:
        AttributeError: there is none.
    """
    part: str = getattr(network, "child_module", "")
    return network.get_submodule(f"{part}.{name}" if part else name)
