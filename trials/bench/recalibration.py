"""BatchNorm statistics of a child from its own activations, in place of those that it inherits from a supernet."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["recalibrated"]


def recalibrated(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> nn.Module:
    """Return a copy whose running statistics are plain means over ``batches``; no weight is changed.

    Args:
        model: with BatchNorm layers, or without, and then nothing changes.
        batches: pairs of inputs and labels, as in training; at least one.
    """
    model = copy.deepcopy(model).train()
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch then takes the mean of all batches
    with torch.no_grad():
        for inputs, _ in batches:
            model(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model.eval()
