"""Latency as milliseconds by candidate: tables, measured in PyTorch, or fitted to the times of whole children."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.resources.latency.calibration import Calibration, calibration_of
    from snas_nni.resources.latency.eager import measure_latency
    from snas_nni.resources.latency.plan import MeasurementPlan, plan_measurements
    from snas_nni.resources.latency.table import LatencyTable

__all__ = [
    "Calibration",
    "LatencyTable",
    "MeasurementPlan",
    "calibration_of",
    "measure_latency",
    "plan_measurements",
]

_HOMES = {
    "Calibration": "calibration",
    "LatencyTable": "table",
    "MeasurementPlan": "plan",
    "calibration_of": "calibration",
    "measure_latency": "eager",
    "plan_measurements": "plan",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
