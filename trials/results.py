"""The files that a search leaves: written one by one, each whole, the summary last."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from exports import Architecture, export_onnx, save, save_weights
from exports.files import write_atomically
from snas_nni.errors import SettingError

__all__ = ["SearchResult", "final_numbers", "read_result", "write_results"]


@dataclass(frozen=True)
class SearchResult:
    """What one search run found.

    Attributes:
        output: folder with architecture.json, weights.safetensors, model.onnx, metrics.csv and summary.json.
        metrics: accuracies in [0, 1], losses in nats, and what else was measured.
        parameters: number of parameters of the child.
    """

    output: Path
    metrics: dict[str, float]
    parameters: int


def final_numbers(result: SearchResult) -> dict[str, Any]:
    """Return what an NNI trial reports as its result; ``default`` is what the tuner maximises."""
    metrics = result.metrics
    return {
        "default": metrics["validation_accuracy"],
        "test_accuracy": metrics["test_accuracy"],
        "parameters": result.parameters,
        **{name: metrics[name] for name in ("macs", "entropy", "seconds") if name in metrics},
        "output": str(result.output),
    }


def read_result(output: Path) -> SearchResult:
    """Read what a finished run in ``output`` found.

    Raises:
        SettingError: its summary cannot be read.
    """
    try:
        document = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        return SearchResult(output, dict(document["metrics"]), int(document["parameters"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{str(output / 'summary.json')!r} is not the summary of a run: {error}") from error


def write_results(
    output: Path,
    architecture: Architecture,
    child: nn.Module,
    input_shape: tuple[int, ...],
    summary: dict[str, Any],
    check: Callable[[Path], dict[str, Any]] | None = None,
) -> SearchResult:
    """Write the child and everything about it.

    Args:
        output: folder to write into.
        architecture: record of the child, without weights.
        child: the trained child.
        input_shape: shape of one input without the batch.
        summary: plain values that go into summary.json too.
        check: looks at the finished ONNX file; what it returns goes into summary.json's ``onnx``.

    Raises:
        OnnxExportError: the child cannot be exported, or ONNX Runtime disagrees with it.
    """
    weights = output / "weights.safetensors"
    architecture = architecture.with_weights(weights, save_weights(child, weights))
    architecture = save(architecture, output / "architecture.json")
    report = export_onnx(child, output / "model.onnx", input_shape, architecture=architecture)
    checked = check(report.path) if check is not None else {}
    document = {
        **summary,
        "metrics": architecture.metrics,
        "parameters": architecture.parameters,
        "onnx": {"opset": report.opset, "max_difference": report.max_difference, "bytes": report.size, **checked},
        "files": ["architecture.json", "weights.safetensors", "model.onnx", "metrics.csv", "settings.yml"],
    }
    # Last, so that a folder with a summary is a folder with everything.
    write_atomically(output / "summary.json", (json.dumps(document, indent=2) + "\n").encode())
    return SearchResult(output, architecture.metrics, architecture.parameters)
