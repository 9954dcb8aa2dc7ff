"""Running a model to count or time it, not to train it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.trace import Trace

__all__ = ["drawing_apart", "evaluating", "suited"]


def drawing_apart(model: nn.Module) -> AbstractContextManager[None]:
    """Let a block draw from copies of PyTorch's generators, those of the model's devices included.

    A search that goes on may look at its network at another step than one that was never cut (to count costs, say),
    and must draw the same numbers afterwards. Layers that are made to be looked at draw weights, a user's own layers
    noise.
    """
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    return torch.random.fork_rng(devices=list(devices))


def suited(inputs: Any, network: nn.Module) -> Any:
    """Return inputs in the type of the network's weights, where these have one type and both are real numbers.

    A supernet may have been trained in other than 32 bits.

    Args:
        inputs: a tensor, or any nest of tensors and other values.
        network: that is to run on them.
    """
    types = {each.dtype for each in network.parameters()}
    own = types.pop() if len(types) == 1 else None
    if own is None or not own.is_floating_point:
        return inputs
    return tree_map(
        lambda part: part.to(own) if isinstance(part, Tensor) and part.is_floating_point() else part, inputs
    )


@contextmanager
def evaluating(
    model: nn.Module, distribution: ArchitectureDistribution | None = None, trace: Trace | None = None
) -> Iterator[None]:
    """Evaluation mode without gradients, attention in plain operations, and the trace for a supernet.

    What is drawn on the way is as in :func:`drawing_apart`.
    """
    training = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.eval()
        with torch.no_grad(), drawing_apart(model):
            if distribution is None:
                yield
            else:
                with distribution.current.tracing(trace):
                    yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, mode in training.items():
            module.training = mode
