"""Retraining with the fast layers that a search has too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback

from snas_nni.fast_layers import quicken

__all__ = ["FastLayers"]


class FastLayers(Callback):
    """Quickens the network when training begins and leaves it as it was."""

    def __init__(self) -> None:
        self._undo: Callable[[], None] | None = None

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Quicken."""
        self._undo = quicken(module)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Undo it."""
        if self._undo is not None:
            self._undo()
            self._undo = None
