"""A network's source in a file that was run before it got its name."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exports.architecture.files import write_file
from exports.code.modules import source_of
from exports.code.text import file_text
from exports.errors import ArchitectureFileError, CodeExportError
from exports.example_input import InputExample
from exports.onnx_files.export import batch_maker, check_settings
from exports.onnx_files.tracing import on_cpu, quiet

__all__ = ["CodeReport", "code_in_words", "export_code"]

_TOLERANCE = 1e-5


@dataclass(frozen=True)
class CodeReport:
    """What was written and how well it agrees.

    Attributes:
        path: the file.
        max_difference: largest absolute difference of the logits, relative to the largest absolute one; mostly 0.
        lines: of the file.
    """

    path: Path
    max_difference: float
    lines: int


def export_code(
    model: nn.Module,
    path: str | Path,
    input_shape: Sequence[int] | Tensor | InputExample,
    weights: str = "weights.safetensors",
) -> CodeReport:
    """Write ``model`` as Python source that needs torch alone, and prove that it computes the same.

    The file has a class for each kind of module with a ``forward`` of its own, and ``network()``, which makes the
    network with new weights under the model's names: its saved weights fit. It is what the model computes in
    evaluation mode: torch.fx follows it, with branches on sizes as the example decides them.

    Args:
        model: a network of one input tensor, the batch first; it is left as it is.
        path: the file to write.
        input_shape: shape of one input without the batch, or an example, as for
            :func:`~exports.onnx_files.export.export_onnx`.
        weights: file of the weights that the text names.

    Raises:
        CodeExportError: the model cannot be written down, or the source computes something else. No file is left
            behind, and an older file of that name is untouched.
        SettingError: ``input_shape`` is out of range.

    Examples:
        >>> import pathlib, tempfile
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        >>> report = export_code(network, pathlib.Path(tempfile.mkdtemp()) / "child.py", (3, 8, 8))
        >>> print(report.path.read_text().split("def network")[1])
        () -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(3, 4, kernel_size=(3, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        <BLANKLINE>
    """
    check_settings(input_shape, (1, 3), _TOLERANCE)
    copied = on_cpu(model).eval()
    batch_of = batch_maker(input_shape, copied)
    with quiet():
        try:
            with torch.no_grad():
                expected = [copied(batch_of(size)) for size in (1, 3)]
        except Exception as error:
            raise CodeExportError(f"the model does not run on inputs of that shape: {error}") from error
        text = file_text(source_of(copied, (batch_of(2),)), copied, weights)
        made = _made_by(text)
        try:
            made.load_state_dict(copied.state_dict())
            with torch.no_grad():
                found = [made.eval()(batch_of(size)) for size in (1, 3)]
        except Exception as error:
            raise CodeExportError(f"the source that was written does not run: {error}. Export to ONNX") from error
    difference = max(map(_difference, expected, found))
    if not difference <= _TOLERANCE:
        raise CodeExportError(
            f"the source that was written computes something else: its outputs differ by {difference:.1e} of the "
            f"largest one, and {_TOLERANCE:.0e} is allowed. Export to ONNX"
        )
    try:
        write_file(Path(path), text.encode())
    except ArchitectureFileError as error:
        raise CodeExportError(str(error)) from error
    return CodeReport(Path(path), difference, text.count("\n"))


def code_in_words(report: CodeReport) -> str:
    """Return one line about a file that was written."""
    return (
        f"{report.path}: {report.lines} lines of Python; its outputs differ from the child's by "
        f"{report.max_difference:.1e} of the largest one"
    )


def _made_by(text: str) -> nn.Module:
    """Run the source as a module of its own, as a user's import does."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "written_network.py")
        Path(file).write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("written_network", file)
        if spec is None or spec.loader is None:
            raise CodeExportError("the source that was written cannot be imported. Export to ONNX")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            made: nn.Module = module.network()
        except Exception as error:
            raise CodeExportError(f"the source that was written does not run: {error}. Export to ONNX") from error
    return made


def _difference(expected: Any, found: Any) -> float:
    pairs = zip(expected, found, strict=True) if isinstance(expected, tuple) else [(expected, found)]
    return max(
        float((one - other).abs().max() / one.abs().max().clamp_min(1e-12))
        if one.shape == other.shape
        else float("inf")
        for one, other in pairs
        if one is not None
    )
