"""The files that a search leaves: written one by one, each whole, the summary last."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from exports import Architecture, InputExample, OnnxExportError, export_onnx, save, save_weights
from exports.metric import ACCURACY, recorded_metric
from exports.onnx_files.description import described_by_summary
from exports.report.findings import findings
from exports.report.run import read_run
from exports.run_folder import SearchResult
from snas_nni.files import write_atomically
from snas_nni.resources import COSTS

__all__ = ["final_numbers", "save_child", "warnings_of", "write_results"]


def final_numbers(result: SearchResult) -> dict[str, Any]:
    """Return what an NNI trial reports as its result: ``default``, the metric that decides as it is, and all costs."""
    metrics, deciding = result.metrics, result.metric
    named = {} if deciding == ACCURACY else {"metric": deciding.as_document()}
    costs = [*COSTS, "live_peak", "int8_loss"]
    return {
        "default": metrics[deciding.validation],
        **named,
        deciding.test: metrics[deciding.test],
        "parameters": result.parameters,
        **{name: metrics[name] for name in (*costs, "entropy", "entropy_share") if name in metrics},
        **{name: round(metrics[name], 1) for name in ("seconds",) if name in metrics},
        "warnings": warnings_of(result.output),
        "output": str(result.output),
    }


def warnings_of(output: Path) -> list[str]:
    """Return what a reader should be warned of before believing the run in a folder: what its report says first."""
    return [finding.text for finding in findings(read_run(output)) if finding.kind == "warning"]


def save_child(output: Path, architecture: Architecture, child: nn.Module) -> Architecture:
    """Write a child's weights and its architecture file, which is what nothing that comes later can take away.

    Args:
        output: folder to write into.
        architecture: record of the child, without weights.
        child: the trained child.

    Returns:
        The record with its weights.
    """
    weights = output / "weights.safetensors"
    architecture = architecture.with_weights(weights, save_weights(child, weights))
    return save(architecture, output / "architecture.json")


def write_results(
    output: Path,
    architecture: Architecture,
    child: nn.Module,
    example: InputExample,
    summary: dict[str, Any],
    check: Callable[[Path], dict[str, Any]] | None = None,
    measure: Callable[[Path], dict[str, float]] | None = None,
) -> SearchResult:
    """Write the child and everything about it.

    Args:
        output: folder to write into.
        architecture: record of the child, without weights.
        child: the trained child.
        example: what one input looks like.
        summary: plain values that go into summary.json too.
        measure: measures the finished ONNX file; what it returns joins the architecture's metrics.
        check: looks at the finished ONNX file; what it returns goes into summary.json's ``onnx``.

    Raises:
        OnnxExportError: the child cannot be exported, or ONNX Runtime disagrees with it. Its weights and its
            architecture file are written then, the summary is not.
    """
    architecture = save_child(output, architecture, child)
    try:
        description = described_by_summary({**summary, "metrics": architecture.metrics}, example)
        report = export_onnx(child, output / "model.onnx", example, architecture=architecture, description=description)
        checked = check(report.path) if check is not None else {}
        if measure is not None:
            metrics = {**architecture.metrics, **measure(report.path)}
            architecture = save(replace(architecture, metrics=metrics), output / "architecture.json")
    except OnnxExportError as error:
        raise OnnxExportError(
            f"there is no ONNX file: {error}\nThe child is complete in {output} (architecture.json, "
            f"weights.safetensors). When its code can be exported, go on with --resume {output}, or with "
            f"snas-nni export {output / 'architecture.json'}"
        ) from error
    document = {
        **summary,
        "input": example.as_document(),
        "input_shape": list(example.shape),
        "metrics": architecture.metrics,
        "parameters": architecture.parameters,
        "onnx": {"opset": report.opset, "max_difference": report.max_difference, "bytes": report.size, **checked},
        "files": ["architecture.json", "weights.safetensors", "model.onnx", "metrics.csv", "settings.yml"],
    }
    # Last, so that a folder with a summary is a folder with everything.
    write_atomically(output / "summary.json", (json.dumps(document, indent=2) + "\n").encode())
    return SearchResult(output, architecture.metrics, architecture.parameters, recorded_metric(document, {}))
