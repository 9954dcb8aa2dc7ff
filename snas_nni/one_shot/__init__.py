"""The search itself: one batch, one backward pass, two optimizer steps; its settings, log and resumption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.one_shot.lightning_module import SnasLightningModule
    from snas_nni.one_shot.settings import SearchSettings
    from snas_nni.one_shot.temperature import TemperatureSchedule

__all__ = ["SearchSettings", "SnasLightningModule", "TemperatureSchedule"]

_HOMES = {
    "SearchSettings": "settings",
    "SnasLightningModule": "lightning_module",
    "TemperatureSchedule": "temperature",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
