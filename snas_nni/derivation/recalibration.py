"""BatchNorm statistics of one child, in place of those that it shares with all others in a supernet.

Running statistics of a supernet are means over everything that was drawn. A child's own are plain means over batches
that the child alone runs on. No weight is changed, and what a network had before can be put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["Statistics", "own_statistics", "put_statistics", "statistics_restored"]

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Running mean and variance, shape ``(channels,)`` each, by the layer's name."""


def own_statistics(network: nn.Module, run: Callable[[Any], Any], batches: Iterable[Any]) -> Statistics:
    """Measure the statistics of what a network runs now, and put them into its layers.

    Only BatchNorm layers are in training mode, all else is as in evaluation. Layers that do not run keep what they
    have. A layer that runs several times for a batch counts each time.

    Args:
        network: a child, or a supernet under a one-hot sample.
        run: runs the network on a batch.
        batches: at least one.

    Returns:
        The statistics of the layers that ran.
    """
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None and layer.running_var is not None
    }
    sums: dict[str, list[Any]] = {}

    def watch(name: str) -> Callable[..., None]:
        def note(layer: nn.Module, inputs: tuple[Any, ...], *_: Any) -> None:
            if not layer.training:  # a pass beside the batch, such as the first one that tries a memory order
                return
            values = inputs[0].detach().transpose(0, 1).flatten(1)
            values = values.to(torch.promote_types(values.dtype, torch.float32))
            # Unbiased, as PyTorch's own running variance is.
            variance, mean = torch.var_mean(values, dim=1, correction=min(1, values.shape[1] - 1))
            if name in sums:
                count, means, variances = sums[name]
                sums[name] = [count + 1, means + mean, variances + variance]
            else:
                sums[name] = [1, mean, variance]

        return note

    modes = {module: module.training for module in network.modules()}
    handles = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        network.eval()
        for layer in layers.values():
            layer.train()
        with torch.no_grad(), statistics_restored(network):
            for batch in batches:
                run(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    found = {name: (means / count, variances / count) for name, (count, means, variances) in sums.items()}
    put_statistics(network, found)
    return found


def put_statistics(network: nn.Module, statistics: Statistics) -> None:
    """Put measured statistics into the layers that they belong to; of a sliced layer, into its first channels."""
    with torch.no_grad():
        for name, (mean, variance) in statistics.items():
            layer: Any = network.get_submodule(name)
            layer.running_mean[: len(mean)].copy_(mean)
            layer.running_var[: len(variance)].copy_(variance)


@contextmanager
def statistics_restored(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics after a ``with`` block as they were before it."""
    kept = [
        (buffer, buffer.detach().clone())
        for layer in network.modules()
        if isinstance(layer, _BatchNorm)
        for buffer in layer.buffers(recurse=False)
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
