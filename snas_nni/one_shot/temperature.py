"""Schedules of the temperature lambda, which falls from its initial to its final value over the search.

A schedule maps progress in [0, 1] to a temperature. Progress after e of E annealed epochs is e / E, so that the
last epoch runs at the final temperature whatever E is (paper: annealed from 1 towards 0; official code: to 0.03
with E fixed at 150).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from snas_nni.errors import SettingError
from snas_nni.ranges import require, require_one_of

__all__ = ["Shape", "TemperatureSchedule"]

Shape = Literal["linear", "exponential", "cosine"]


@dataclass(frozen=True)
class TemperatureSchedule:
    """Temperature as a function of progress.

    Args:
        initial: temperature at progress 0.
        final: temperature at progress 1; 0 < final <= initial.
        shape: how it gets there, or an own function of progress in [0, 1] that returns a positive temperature
            (``initial`` and ``final`` are then not used).
        per: whether progress counts finished epochs or finished steps.

    Raises:
        SettingError: a value outside its range.

    Examples:
        >>> schedule = TemperatureSchedule(initial=1.0, final=0.1, shape="exponential")
        >>> [round(schedule(progress), 3) for progress in (0, 0.5, 1)]
        [1.0, 0.316, 0.1]
        >>> TemperatureSchedule(shape=lambda progress: 0.5)(0.9)
        0.5
    """

    initial: float = 1.0
    final: float = 0.03
    shape: Shape | Callable[[float], float] = "linear"
    per: Literal["epoch", "step"] = "epoch"

    def __post_init__(self) -> None:
        require("initial_temperature", self.initial, above=0, below=math.inf)
        require("final_temperature", self.final, above=0, at_most=self.initial)
        if not callable(self.shape):
            require_one_of("temperature_schedule", self.shape, get_args(Shape))  # or a function
        require_one_of("temperature_interval", self.per, ("epoch", "step"))

    def __call__(self, progress: float) -> float:
        """Temperature at ``progress``, which is clamped to [0, 1].

        Raises:
            SettingError: an own function returned a temperature that is not positive and finite.
        """
        progress = min(max(progress, 0.0), 1.0)
        if callable(self.shape):
            value = float(self.shape(progress))
            if not 0 < value < math.inf:
                raise SettingError(f"temperature_schedule returned {value} at progress {progress}; it must be > 0.")
            return value
        if progress == 1.0:  # exactly, whatever rounding the formulas below have
            return self.final
        if self.shape == "exponential":
            return self.initial * (self.final / self.initial) ** progress
        left = 1 - progress if self.shape == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.final + (self.initial - self.final) * left

    def time_left(self, temperature: float) -> float:
        """The share of the progress that is left at a temperature, in [0, 1]: the inverse of calling it.

        0 where the temperature does not fall. Not for an own function, of which nobody knows.
        """
        fall = self.initial - self.final
        left = min(1.0, max(0.0, (temperature - self.final) / fall)) if fall > 0 else 0.0
        if self.shape == "exponential" and 0 < left < 1:
            return math.log(temperature / self.final) / math.log(self.initial / self.final)
        return 1 - math.acos(2 * left - 1) / math.pi if self.shape == "cosine" else left
