"""Random numbers of training that depend on seed and epoch alone, so that a resumed run draws the same."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback

from trials.loaders import seeded_generator

__all__ = ["EpochSeed"]

_STREAM = 2**40  # apart from the streams of the loaders, which count from the first image of a batch


class EpochSeed(Callback):
    """Seeds torch, on all devices, before the first batch of each epoch; each process with a stream of its own.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed the epoch; not at its start, whose hook a resumed run does not call."""
        if batch_idx == 0:
            torch.manual_seed(
                seeded_generator(self.seed, trainer.current_epoch, _STREAM + trainer.global_rank).initial_seed()
            )
