"""What a child is as it will be deployed: memory alive at once, and what 8 bits cost of the metric, measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from exports import InputExample, export_onnx
from exports.onnx_files.live_memory import live_peak
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.progress import Progress
from trials.runs.quantization import quantize
from trials.training.evaluation import onnx_predictor
from trials.training.number_types import NumberTypes, put_types

__all__ = ["accepts", "int8_loss", "measured_on"]

IMAGES = 512
"""Training images that calibrate the ranges of activations."""


def measured_on(file: Path, data: TaskData, int8: bool) -> dict[str, float]:
    """Measure an exported child.

    Args:
        file: the ONNX file, which is left as it is.
        data: training images calibrate, validation images judge.
        int8: quantize it too.

    Returns:
        ``live_peak`` in elements; with ``int8`` also ``int8_loss``: how much worse the deciding metric is than that
        of the same file at 32 bits, in its own unit, negative where 8 bits happen to be better.

    Raises:
        OnnxExportError: the shape of a tensor is not known.
        SnasError: ONNX Runtime cannot quantize or run it.
    """
    figures = {"live_peak": float(live_peak(file))}
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
) -> Callable[[dict[str, Any], nn.Module], bool] | None:
    """Return what decides whether a child keeps the measured bounds; None where there are none.

    Args:
        bounds: by name, as of :func:`trials.settings.cost_bounds.measured_bounds`.
        data: see :func:`measured_on`.
        example: what one input looks like.
        progress: told of each child that does not.
        types: gives those of a child's numbers that the search may have changed.
    """
    if not bounds:
        return None

    def accept(sample: dict[str, Any], child: nn.Module) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            put_types(child, types(sample))
            file = export_onnx(child, Path(folder) / "model.onnx", example, batch_sizes=(1,)).path
            figures = measured_on(file, data, "int8_loss" in bounds)
        beyond = [
            f"{name} {figures[name]:,.4g} of {bound:,.4g}" for name, bound in bounds.items() if figures[name] > bound
        ]
        if beyond:
            progress.say(f"a better child is not within the bounds: {', '.join(beyond)}; the next one is tried")
        return not beyond

    return accept
