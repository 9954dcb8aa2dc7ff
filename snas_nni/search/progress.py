"""Where a search stands: whether it warms up, and the temperature of its current step."""

from __future__ import annotations

import math
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.search.lightning_compat import batch_index
from snas_nni.search.settings import SearchSettings

__all__ = ["is_warming_up", "temperature_now"]


def is_warming_up(trainer: Any, settings: SearchSettings) -> bool:
    """Whether the logits are still frozen."""
    return bool(trainer.current_epoch < settings.warmup_epochs)


def temperature_now(trainer: Any, settings: SearchSettings) -> float:
    """The temperature of the current step; that of progress 0 while warming up.

    Raises:
        SettingError: the Trainer does not know how long the search is.
    """
    schedule, warmup = settings.temperature, settings.warmup_epochs
    epochs = trainer.max_epochs
    if epochs is None or epochs <= 0:
        raise SettingError("the Trainer needs max_epochs: the temperature falls over the epochs of the search.")
    if epochs <= warmup:
        raise SettingError(f"warmup_epochs is {warmup}, but the Trainer has max_epochs={epochs}: nothing is left.")
    if is_warming_up(trainer, settings):
        return schedule(0.0)
    done: float = trainer.current_epoch - warmup + 1
    if schedule.per == "step":
        batches = trainer.num_training_batches
        if batches == math.inf:
            raise SettingError(
                "temperature_interval='step' needs to know how many batches an epoch has, and the training loader "
                "does not say. Use 'epoch', or set the Trainer's limit_train_batches."
            )
        position = min(batch_index(trainer) + 1, batches)
        done = done - 1 + position / batches
    return schedule(done / (epochs - warmup))
