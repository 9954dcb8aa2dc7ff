"""The files that a search leaves: written one by one, each whole, the summary last."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from exports import Architecture, export_onnx, save, save_weights
from exports.run_folder import SearchResult
from snas_nni.files import write_atomically

__all__ = ["final_numbers", "write_results"]


def final_numbers(result: SearchResult) -> dict[str, Any]:
    """Return what an NNI trial reports as its result; ``default`` is what the tuner maximises."""
    metrics = result.metrics
    return {
        "default": metrics["validation_accuracy"],
        "test_accuracy": metrics["test_accuracy"],
        "parameters": result.parameters,
        **{name: metrics[name] for name in ("macs", "entropy") if name in metrics},
        **{name: round(metrics[name], 1) for name in ("seconds",) if name in metrics},
        "output": str(result.output),
    }


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
