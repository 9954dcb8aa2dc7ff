"""Where a search stands: whether it warms up or settles, and the temperature of its current step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.one_shot.lightning_compat import batch_index
from snas_nni.one_shot.settings import SearchSettings

__all__ = [
    "Position",
    "annealing_progress",
    "is_settling",
    "is_warming_up",
    "position_of",
    "searching_progress",
    "settling_epochs",
    "settling_progress",
    "temperature_now",
]


@dataclass(frozen=True)
class Position:
    """Where a search stands, whichever loop runs it.

    Attributes:
        epoch: the current one, counted from 0.
        epochs: of the whole search; None or below 1 where nobody knows.
        batch: the current one of the epoch, counted from 0; -1 before the first.
        batches: of an epoch; infinite where nobody knows.
    """

    epoch: int
    epochs: int | None
    batch: int = -1
    batches: float = math.inf

    @property
    def epochs_done(self) -> float:
        """Epochs behind the current step, with the part of this one; without it where nobody knows how long one is."""
        if not 0 < self.batches < math.inf:
            return self.epoch
        return self.epoch + max(0, min(self.batch, self.batches)) / self.batches


def position_of(trainer: Any) -> Position:
    """Where Lightning's Trainer stands."""
    return Position(trainer.current_epoch, trainer.max_epochs, batch_index(trainer), trainer.num_training_batches)


def is_warming_up(position: Position, settings: SearchSettings) -> bool:
    """Whether the logits are still frozen."""
    return position.epoch < settings.warmup_epochs


def settling_epochs(settings: SearchSettings, epochs: int) -> int:
    """Number of last epochs in which the chosen child trains alone; a third of those after warming up by default.

    Where these are fewer than five, none: so short a search has no epoch to spare.

    Args:
        settings: of the search.
        epochs: of the whole search.
    """
    if settings.settle_epochs is None:
        searching = epochs - settings.warmup_epochs
        return searching // 3 if searching >= 5 else 0
    return settings.settle_epochs


def is_settling(position: Position, settings: SearchSettings) -> bool:
    """Whether the current epoch trains the chosen child alone."""
    epochs = position.epochs or 0
    return epochs > 0 and position.epoch >= epochs - settling_epochs(settings, epochs)


def settling_progress(position: Position, settings: SearchSettings) -> float | None:
    """Part of the settling that is behind the current step, in [0, 1); None before it.

    It moves every step, or every epoch where nobody knows how many steps one has.
    """
    if position.epochs is None or not is_settling(position, settings):
        return None
    epochs = settling_epochs(settings, position.epochs)
    return (position.epochs_done - (position.epochs - epochs)) / epochs


def searching_progress(position: Position, settings: SearchSettings) -> float:
    """Share of the steps before settling that are behind the current one, in [0, 1]; 1 while settling.

    It moves every step, or every epoch where nobody knows how many steps one has; it stays at 0 where nobody knows how
    many epochs there are.
    """
    if is_settling(position, settings):
        return 1.0
    if position.epochs is None or position.epochs <= 0:
        return 0.0
    return min(1.0, position.epochs_done / (position.epochs - settling_epochs(settings, position.epochs)))


def annealing_progress(position: Position, settings: SearchSettings) -> float:
    """Where the current epoch is among those of the temperature's fall: 0 in the first, 1 in the last and later."""
    if position.epochs is None or is_warming_up(position, settings):
        return 0.0
    epochs = position.epochs - settling_epochs(settings, position.epochs) - settings.warmup_epochs
    return min(1.0, (position.epoch - settings.warmup_epochs) / (epochs - 1)) if epochs > 1 else 0.0


def temperature_now(position: Position, settings: SearchSettings) -> float:
    """The temperature of the current step; that of progress 0 while warming up, and of progress 1 while settling.

    Raises:
        SettingError: the Trainer does not know how long the search is, or warming up and settling leave no epoch of it.
    """
    schedule, warmup = settings.temperature, settings.warmup_epochs
    epochs = position.epochs
    if epochs is None or epochs <= 0:
        raise SettingError("the Trainer needs max_epochs: the temperature falls over the epochs of the search.")
    if epochs <= warmup:
        raise SettingError(f"warmup_epochs is {warmup}, but the Trainer has max_epochs={epochs}: nothing is left.")
    settling = settling_epochs(settings, epochs)
    if epochs - settling < warmup or (epochs - settling == warmup and settings.initial_logits == "random"):
        raise SettingError(
            f"settle_epochs is {settling} and warmup_epochs {warmup}, but the Trainer has max_epochs={epochs}: no "
            "epoch is left to search in."
        )
    epochs -= settling
    if is_warming_up(position, settings):
        return schedule(0.0)
    if epochs == warmup:  # the logits are what was measured, and the child is chosen at once
        return schedule(1.0)
    done: float = position.epoch - warmup + 1
    if schedule.per == "step":
        batches = position.batches
        if batches == math.inf:
            raise SettingError(
                "temperature_interval='step' needs to know how many batches an epoch has, and the training loader "
                "does not say. Use 'epoch', or set the Trainer's limit_train_batches."
            )
        done = done - 1 + min(position.batch + 1, batches) / batches
    return schedule(done / (epochs - warmup))
