"""Running a model to count or time it, not to train it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.trace import Trace

__all__ = ["evaluating"]


@contextmanager
def evaluating(
    model: nn.Module, distribution: ArchitectureDistribution | None = None, trace: Trace | None = None
) -> Iterator[None]:
    """Evaluation mode without gradients, attention in plain operations, and the trace for a supernet."""
    training = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.eval()
        with torch.no_grad():
            if distribution is None:
                yield
            else:
                with distribution.current.tracing(trace):
                    yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, mode in training.items():
            module.training = mode
