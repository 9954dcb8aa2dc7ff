"""Stochastic Neural Architecture Search (ICLR 2019) as a one-shot strategy for Microsoft NNI 3.0.

What this package offers is imported when it is first asked for: torch, Lightning and NNI take seconds, which the
commands that only read files do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.derivation.child import build_child, derive_child
    from snas_nni.errors import SettingError, SnasError, UnsupportedSpaceError
    from snas_nni.regularizer import Regularizer
    from snas_nni.resources import Budget, ResourcePenalty
    from snas_nni.search.temperature import TemperatureSchedule
    from snas_nni.strategy import SNAS

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

__version__ = "0.1.0"  # the only place: pyproject.toml reads it from here

_HOMES = {
    "SNAS": "strategy",
    "Budget": "resources",
    "Regularizer": "regularizer",
    "ResourcePenalty": "resources",
    "SettingError": "errors",
    "SnasError": "errors",
    "TemperatureSchedule": "search.temperature",
    "UnsupportedSpaceError": "errors",
    "build_child": "derivation.child",
    "derive_child": "derivation.child",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
