"""The settings of a search, checked once, and where the search stands by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from snas_nni.search.temperature import TemperatureSchedule

__all__ = ["SearchSettings", "is_settling", "is_warming_up", "settling_epochs", "temperature_now"]


@dataclass(frozen=True)
class SearchSettings:
    """Everything that a search step needs to know; see :class:`~snas_nni.strategy.SNAS` for the meaning of each.

    Raises:
        SettingError: names the setting, its value and its range.
    """

    temperature: TemperatureSchedule = field(default_factory=TemperatureSchedule)
    logits_learning_rate: float = 3e-4
    logits_betas: tuple[float, float] = (0.5, 0.999)
    logits_weight_decay: float = 1e-3
    logits_gradient_clip: float | None = 10.0
    weights_gradient_clip: float | None = 5.0
    warmup_epochs: int = 0
    settle_epochs: int | None = None
    candidates: int = 8
    selection_share: float = 1.0
    selection_metric: str | None = None
    recalibration_batches: int = 20
    bilevel: bool = False
    sampling: Literal["relaxed", "single_path"] = "relaxed"
    sample_per_layer: bool = False
    samples_per_step: int = 1
    spread_samples: bool = False
    accumulate_batches: int = 1
    skip_tolerance: float = 5e-4
    channels_last: bool | None = None
    initial_logits_std: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        def positive(value: Any) -> bool:
            return value > 0

        def positive_or_none(value: Any) -> bool:
            return value is None or value > 0

        def not_negative(value: Any) -> bool:
            return value >= 0

        def at_least_one(value: Any) -> bool:
            return isinstance(value, int) and value >= 1

        checks: dict[str, tuple[Callable[[Any], bool], str]] = {
            "logits_learning_rate": (positive, "> 0"),
            "logits_weight_decay": (not_negative, ">= 0"),
            "logits_gradient_clip": (positive_or_none, "> 0 or None"),
            "weights_gradient_clip": (positive_or_none, "> 0 or None"),
            "warmup_epochs": (not_negative, ">= 0"),
            "settle_epochs": (lambda value: value is None or value >= 0, ">= 0 or None"),
            "candidates": (at_least_one, "an integer >= 1"),
            "selection_share": (lambda value: 0 < value <= 1, "in (0, 1]"),
            "recalibration_batches": (not_negative, ">= 0"),
            "samples_per_step": (at_least_one, "an integer >= 1"),
            "accumulate_batches": (at_least_one, "an integer >= 1"),
            "skip_tolerance": (lambda value: 0 <= value < 1, "in [0, 1)"),
            "initial_logits_std": (not_negative, ">= 0"),
            "sampling": (lambda value: value in ("relaxed", "single_path"), "'relaxed' or 'single_path'"),
            "logits_betas": (
                lambda betas: len(betas) == 2 and all(0 <= b < 1 for b in betas),
                "two numbers in [0, 1)",
            ),
        }
        for name, (accepts, allowed) in checks.items():
            if not accepts(getattr(self, name)):
                raise SettingError(f"{name} must be {allowed}, got {getattr(self, name)!r}.")
        if self.bilevel and self.accumulate_batches > 1:
            raise SettingError(
                f"accumulate_batches is {self.accumulate_batches}, but bilevel updates step the logits after every "
                "batch and would throw the accumulated gradients away. Use one of the two."
            )


def is_warming_up(trainer: Any, settings: SearchSettings) -> bool:
    """Whether the logits are still frozen."""
    return bool(trainer.current_epoch < settings.warmup_epochs)


def settling_epochs(settings: SearchSettings, epochs: int) -> int:
    """Number of last epochs in which the chosen child trains alone; a fifth of those after warming up by default.

    Args:
        settings: of the search.
        epochs: of the whole search.
    """
    if settings.settle_epochs is None:
        return max(0, epochs - settings.warmup_epochs) // 5
    return settings.settle_epochs


def is_settling(trainer: Any, settings: SearchSettings) -> bool:
    """Whether the current epoch trains the chosen child alone."""
    epochs = trainer.max_epochs or 0
    return bool(epochs > 0 and trainer.current_epoch >= epochs - settling_epochs(settings, epochs))


def temperature_now(trainer: Any, settings: SearchSettings) -> float:
    """The temperature of the current step; that of progress 0 while warming up, and of progress 1 while settling.

    Raises:
        SettingError: the Trainer does not know how long the search is, or warming up and settling leave no epoch of it.
    """
    schedule, warmup = settings.temperature, settings.warmup_epochs
    epochs = trainer.max_epochs
    if epochs is None or epochs <= 0:
        raise SettingError("the Trainer needs max_epochs: the temperature falls over the epochs of the search.")
    if epochs <= warmup:
        raise SettingError(f"warmup_epochs is {warmup}, but the Trainer has max_epochs={epochs}: nothing is left.")
    settling = settling_epochs(settings, epochs)
    if epochs - settling <= warmup:
        raise SettingError(
            f"settle_epochs is {settling} and warmup_epochs {warmup}, but the Trainer has max_epochs={epochs}: no "
            "epoch is left to search in."
        )
    epochs -= settling
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
        position = min(trainer.fit_loop.epoch_loop.batch_idx + 1, batches)
        done = done - 1 + position / batches
    return schedule(done / (epochs - warmup))
