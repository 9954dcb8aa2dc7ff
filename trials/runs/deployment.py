"""What a child is as it will be deployed: memory alive at once, and what 8 bits cost of the metric, measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from exports import InputExample, export_onnx
from exports.onnx_files.live_memory import live_peak
from snas_nni import SNAS
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.latency.child import ChildClock
from trials.progress import Progress
from trials.runs.quantization import quantize
from trials.training.evaluation import onnx_predictor
from trials.training.number_types import NumberTypes, put_types

__all__ = ["accepts", "int8_loss", "measured_on", "numbers_of", "predicted_latency"]

IMAGES = 512
"""Training images that calibrate the ranges of activations."""


def measured_on(file: Path, data: TaskData, int8: bool, clock: ChildClock | None = None) -> dict[str, float]:
    """Measure an exported child.

    Args:
        file: the ONNX file, which is left as it is.
        data: training images calibrate, validation images judge.
        int8: quantize it too.
        clock: of the run's latency table; None without one.

    Returns:
        ``live_peak`` in elements; with ``int8`` also ``int8_loss``: how much worse the deciding metric is than that
        of the same file at 32 bits, in its own unit, negative where 8 bits happen to be better. With ``clock``
        also what it finds.

    Raises:
        OnnxExportError: the shape of a tensor is not known.
        SnasError: ONNX Runtime cannot quantize or run it.
    """
    figures = {"live_peak": float(live_peak(file)), **(clock.figures(file) if clock is not None else {})}
    if int8:
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "model.int8.onnx"
            quantize(file, small, data, IMAGES)
            figures["int8_loss"] = int8_loss(file, small, data)
    return figures


def int8_loss(file: Path, small: Path, data: TaskData) -> float:
    """Return by how much a quantized file is worse than the one that it was made of, by validation data's metric."""
    reached = [
        data.task.evaluate(onnx_predictor(each), evaluation_loader(data, data.validation)).value
        for each in (file, small)
    ]
    return data.task.metric.gain(reached[0], over=reached[1])


def accepts(
    bounds: Mapping[str, float],
    data: TaskData,
    example: InputExample,
    progress: Progress,
    types: Callable[[Mapping[str, Any]], NumberTypes] = lambda sample: {},
    clock: ChildClock | None = None,
    budget: Callable[[], Mapping[str, float]] = dict,
) -> Callable[[dict[str, Any], nn.Module], bool] | None:
    """Return what decides whether a child keeps the measured bounds; None where there are none.

    Args:
        bounds: by name, as of :func:`trials.settings.costs.bounds.measured_bounds`.
        data: see :func:`measured_on`.
        example: what one input looks like.
        progress: told of each child that does not.
        types: gives those of a child's numbers that the search may have changed.
        clock: of the run's latency table; None without one.
        budget: returns the bounds of the search as numbers, once they are known: that on ``latency_ms`` holds for the
            measured child too.
    """
    if not bounds and (clock is None or not clock.is_here):
        return None

    def accept(sample: dict[str, Any], child: nn.Module) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            put_types(child, types(sample))
            file = export_onnx(child, Path(folder) / "model.onnx", example, batch_sizes=(1,)).path
            figures = measured_on(file, data, "int8_loss" in bounds, clock)
        limits = {**bounds, **{name: limit for name, limit in budget().items() if name == "latency_ms"}}
        beyond = [
            f"{name} {figures[name]:,.4g} of {limit:,.4g}"
            for name, limit in limits.items()
            if figures.get(name, 0.0) > limit
        ]
        if beyond:
            progress.say(f"a better child is not within the bounds: {', '.join(beyond)}; the next one is tried")
        return not beyond

    return accept


def numbers_of(strategy: SNAS) -> Mapping[str, float]:
    """Return the bounds of a search as numbers, those that were given as shares too; none before they are known."""
    controller = strategy.budget_controller
    return controller.bounds.bounds if controller is not None and controller.is_prepared else {}


def predicted_latency(strategy: SNAS, sample: Mapping[str, Any], clock: ChildClock | None) -> dict[str, float]:
    """Return ``predicted_latency_ms`` of a child by the run's table; nothing where there is none."""
    if clock is None:
        return {}
    example = clock.example.batch()
    return {"predicted_latency_ms": strategy.cost_model(example).of(sample)["latency_ms"]}
