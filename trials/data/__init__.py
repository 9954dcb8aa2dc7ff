"""Data: sources by name, splits, images in folders, augmentation, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from trials.data.sources import load_data
    from trials.data.types import ClassificationData, LabelledTensors, TaskData

__all__ = ["ClassificationData", "LabelledTensors", "TaskData", "load_data"]

_HOMES = {"ClassificationData": "types", "LabelledTensors": "types", "TaskData": "types", "load_data": "sources"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
