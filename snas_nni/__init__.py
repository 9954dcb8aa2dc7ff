"""Stochastic Neural Architecture Search (ICLR 2019) as a one-shot strategy for Microsoft NNI 3.0."""

from snas_nni.strategy import SNAS  # first: it fixes NNI's import order

from snas_nni.derivation import build_child, derive_child  # isort: skip
from snas_nni.errors import SettingError, SnasError, UnsupportedSpaceError
from snas_nni.optimization import Regularizer
from snas_nni.resources import Budget, ResourcePenalty
from snas_nni.temperature import TemperatureSchedule

__all__ = [
    "SNAS",
    "Budget",
    "Regularizer",
    "ResourcePenalty",
    "SettingError",
    "SnasError",
    "TemperatureSchedule",
    "UnsupportedSpaceError",
    "build_child",
    "derive_child",
]
