"""How to load what a run found, in a few lines that can be copied."""

from __future__ import annotations

from dataclasses import dataclass

from exports.example_input import InputExample
from exports.report.numbers import as_mapping, as_number
from exports.report.run import Run
from snas_nni.errors import SettingError

__all__ = ["Usage", "usage_of"]

KNOWN_SPACES = ("search_spaces.", "snas_nni.", "nni.nas.hub.")


@dataclass(frozen=True)
class Usage:
    """Code for PyTorch and for ONNX Runtime (empty where the file is missing), and what the input has to be."""

    pytorch: str
    onnx: str
    inputs: str


def usage_of(run: Run) -> Usage | None:
    """Write the code for the files that are there; None if there are none."""
    example = _example(run)
    shape = list(example.shape) if example is not None else []
    dtype = "float32" if example is None else example.dtype
    of_type = "" if dtype == "float32" else f", dtype=torch.{dtype}"
    zeros = ", ".join(map(str, shape)) if shape else "..."
    pytorch = onnx = ""
    if run.architecture is not None:
        own = run.architecture.space.class_path
        spaces = "" if own.startswith(KNOWN_SPACES) else f", spaces={own!r}"
        weights = "" if run.architecture.weights else ", weights=False"
        pytorch = (
            "import torch\n"
            "from snas_nni import build, load\n"
            f'child = build(load("architecture.json"){spaces}{weights}).eval()\n'
            "with torch.no_grad():\n"
            f"    logits = child(torch.zeros(1, {zeros}{of_type}))"
        )
    if (run.folder / "model.onnx").is_file():
        onnx = (
            "import numpy\n"
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx")\n'
            f"inputs = numpy.zeros((1, {zeros}), dtype=numpy.{dtype})\n"
            'logits, = session.run(None, {"input": inputs})'
        )
    return Usage(pytorch, onnx, _inputs(run, shape)) if pytorch or onnx else None


def _example(run: Run) -> InputExample | None:
    given = run.summary.get("input", {"shape": run.summary.get("input_shape")})
    try:
        return InputExample.from_document(given)
    except SettingError:
        return None


def _inputs(run: Run, shape: list[int]) -> str:
    normalization = as_mapping(run.summary.get("normalisation"))  # the key as searches write it
    parts = [f"Inputs have the shape (batch, {', '.join(map(str, shape))})"] if shape else []
    for name, key in (("mean", "mean"), ("deviation", "deviation")):
        values = normalization.get(key)
        numbers = [as_number(value) for value in values] if isinstance(values, list) else []
        if numbers and None not in numbers:
            parts.append(f"{name} {', '.join(f'{value:.4g}' for value in numbers if value is not None)}")
    if len(parts) == 3:
        return f"{parts[0]}. The child was trained on (image - mean) / deviation, with {parts[1]} and {parts[2]}."
    return f"{parts[0]}." if parts else ""
