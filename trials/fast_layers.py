"""Retraining with the fast layers and the memory order that a search has too."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from pytorch_lightning import Callback
from torch import nn

from snas_nni.cpu_kernels.fast_layers import quicken
from snas_nni.cpu_kernels.memory_format import channels_last

__all__ = ["FastLayers"]


class FastLayers(Callback):
    """Quickens the network when training begins and leaves it as it was."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Quicken; on a CPU put the images that ``module.model`` gets into channels-last order."""
        network = getattr(module, "model", None)
        if isinstance(network, nn.Module) and module.device.type == "cpu":
            self._undo.callback(network.register_forward_pre_hook(channels_last).remove)
        self._undo.callback(quicken(module))

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Undo it."""
        self._undo.close()
