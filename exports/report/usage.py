"""How to load what a run found, in a few lines that can be copied."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from exports.architecture.record import Architecture
from exports.example_input import InputExample
from exports.onnx_files.description import Description, described_by_summary
from exports.report.numbers import as_mapping, as_number
from exports.report.run import Run
from snas_nni.errors import SettingError

__all__ = ["Usage", "usage_of"]

KNOWN_SPACES = ("search_spaces.", "snas_nni.", "nni.nas.hub.")


@dataclass(frozen=True)
class Usage:
    """The command that asks the network, code for PyTorch and for ONNX Runtime, and what the input has to be.

    ``more`` are other commands, each with what it does. All are empty where the file that they need is missing. The
    command and the code for ONNX Runtime go the whole way: from an image file to the name of a class, where inputs are
    images.
    """

    pytorch: str
    onnx: str
    inputs: str
    command: str = ""
    more: tuple[tuple[str, str], ...] = ()


def usage_of(run: Run) -> Usage | None:
    """Write the code for the files that are there; None if there are none."""
    example = _example(run)
    shape = list(example.shape) if example is not None else []
    dtype = "float32" if example is None else example.dtype
    of_type = "" if dtype == "float32" else f", dtype=torch.{dtype}"
    zeros = ", ".join(map(str, shape)) if shape else "..."
    pytorch = onnx = ""
    if run.architecture is not None:
        own = _own_code(run.architecture)
        spaces = f", spaces={own!r}" if own else ""
        weights = "" if run.architecture.weights else ", weights=False"
        pytorch = (
            "import torch\n"
            "from snas_nni import build, load\n"
            f'child = build(load("architecture.json"){spaces}{weights}).eval()\n'
            "with torch.no_grad():\n"
            f"    logits = child(torch.zeros(1, {zeros}{of_type}))"
        )
    command = ""
    if (run.folder / "model.onnx").is_file():
        described = _described(run, example)
        onnx = _of_images(described) if described is not None and described.preparation is not None else ""
        command = f"snas-nni predict {shlex.quote(str(run.folder))} {'image.png' if onnx else '--input inputs.npy'}"
        onnx = onnx or (
            "import numpy\n"
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx")\n'
            f"inputs = numpy.zeros((1, {zeros}), dtype=numpy.{dtype})\n"
            'logits, = session.run(None, {"input": inputs})'
        )
    return Usage(pytorch, onnx, _inputs(run, shape), command, _more(run)) if pytorch or onnx else None


def _own_code(architecture: Architecture) -> str:
    """The user's code that has to be named so that it may be imported: the space, or what makes its network."""
    path = architecture.space.class_path
    if not path.startswith(KNOWN_SPACES):
        return path
    model = architecture.space.arguments.get("model") if path.rpartition(".")[2] == "FromModel" else None
    return model if isinstance(model, str) else ""


def _more(run: Run) -> tuple[tuple[str, str], ...]:
    """Write commands that go on from the run, for the files that are there."""
    if run.architecture is None:
        return ()
    folder = shlex.quote(str(run.folder))
    own = _own_code(run.architecture)
    space = f" --space {shlex.quote(own)}" if own else ""
    found = []
    if run.architecture.weights:
        found.append(("measure it again, in PyTorch and ONNX Runtime", f"snas-nni evaluate {folder}{space}"))
        if (run.folder / "model.onnx").is_file():
            found.append(("8 bits for weights and activations", f"snas-nni quantize {folder}{space}"))
    retrain = f"snas-nni retrain {shlex.quote(str(run.folder / 'architecture.json'))}{space}"
    found.append(("train it from new weights, longer", retrain))
    if (run.folder / "checkpoints").is_dir():
        half = max(1, run.architecture.parameters // 2)
        found.append(
            ("a smaller child of this search, without another one", f"snas-nni derive {folder} --max-params {half}")
        )
        found.append(("what accuracy costs: a front of eight budgets", f"snas-nni derive {folder} --sweep params:8"))
    return tuple(found)


def _of_images(described: Description) -> str:
    """Write the code from an image file to the name of its class; empty where that cannot be said."""
    preparation, channels = described.preparation, described.example.shape[0]
    if preparation is None or preparation.scale is None or channels not in (1, 3) or not described.class_names:
        return ""
    height, width = preparation.size
    mode = "L" if channels == 1 else "RGB"
    image = f'numpy.atleast_3d(Image.open("image.png").convert("{mode}").resize(({width}, {height})))'
    scaled = image if preparation.scale == 1 else f"{image} * {preparation.scale:.10g}"
    lines = [f"inputs = {scaled}  # height, width, channels"]
    if preparation.mean:
        lines.append(f"inputs = (inputs - {_list(preparation.mean)}) / {_list(preparation.deviation)}")
    if preparation.crop is not None:
        top, left = (max(0, side - preparation.crop) // 2 for side in (height, width))
        lines.append(f"inputs = inputs[{top}:{top + preparation.crop}, {left}:{left + preparation.crop}]")
    return "\n".join(
        [
            "import json",
            "import numpy",
            "import onnxruntime",
            "from PIL import Image",
            'session = onnxruntime.InferenceSession("model.onnx")',
            'names = json.loads(session.get_modelmeta().custom_metadata_map["snas_nni.class_names"])',
            *lines,
            "inputs = inputs.transpose(2, 0, 1)[None].astype(numpy.float32)",
            'logits, = session.run(None, {"input": inputs})',
            "print(names[logits.argmax()])",
        ]
    )


def _list(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"


def _described(run: Run, example: InputExample | None) -> Description | None:
    try:
        return None if example is None else described_by_summary(run.summary, example)
    except SettingError:
        return None  # the page says what it can


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
