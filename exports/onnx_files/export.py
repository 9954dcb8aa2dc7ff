"""ONNX files that were run in ONNX Runtime before they got their name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from exports.architecture.files import as_text, from_text, write_file
from exports.architecture.record import Architecture
from exports.errors import ArchitectureFileError, OnnxExportError
from exports.example_input import InputExample
from exports.onnx_files.description import Description
from exports.onnx_files.preparation import Layout, with_preparation
from exports.onnx_files.runtime_check import largest_difference
from exports.onnx_files.tracing import INPUT_NAME, OUTPUT_NAME, check_output, checked_bytes, on_cpu, quiet, traced_model
from snas_nni.errors import SettingError
from snas_nni.files import readable

__all__ = ["METADATA_KEY", "OnnxReport", "export_onnx", "put_architecture", "read_architecture"]

METADATA_KEY = "snas_nni.architecture"


@dataclass(frozen=True)
class OnnxReport:
    """What was exported and how well it agrees.

    Attributes:
        path: the file.
        max_difference: largest absolute difference from PyTorch, relative to the largest absolute output.
        batch_sizes: the batch sizes at which that was measured.
        opset: version of the ONNX operator set.
        input_name: name of the one input, shape ``(batch, ...)``.
        output_name: name of the one output.
        size: the file's size in bytes.
    """

    path: Path
    max_difference: float
    batch_sizes: tuple[int, ...]
    opset: int
    input_name: str
    output_name: str
    size: int


def export_onnx(
    model: nn.Module,
    path: str | Path,
    input_shape: Sequence[int] | Tensor | InputExample,
    architecture: Architecture | None = None,
    batch_sizes: Sequence[int] = (1, 3),
    tolerance: float = 1e-4,
    description: Description | None = None,
    preprocessing: Layout | None = None,
) -> OnnxReport:
    """Write ``model`` in evaluation mode as one ONNX file of free batch size, and prove that it runs.

    The model itself, its mode and its device are left as they are: a copy on the CPU is exported. The file
    appears under its name only after ONNX Runtime agreed with PyTorch at every one of ``batch_sizes``.

    Args:
        model: a network of one input and one output tensor, both with the batch first.
        path: the file to write.
        input_shape: shape of one input without the batch, such as ``(3, 32, 32)``, for inputs of the weights'
            number type; or an example tensor with the batch first, for other types (token numbers) or ranges; or
            the description of an input.
        architecture: the record to put into the file; ``read_architecture`` gets it back.
        batch_sizes: batch sizes to compare at, each at least 1; the model is traced at another one.
        tolerance: largest difference allowed, as a fraction of the largest absolute output; above 0.
        description: what the file shall say about its use; see :func:`exports.onnx_files.description.read_description`.
        preprocessing: put the description's preparation of images into the file, whose input is then uint8, ``NCHW`` or
            ``NHWC``; None leaves the input as the network has it.

    Raises:
        OnnxExportError: the export, the check or the comparison failed; the message has the numbers. No file
            is left behind, and an older file of that name is untouched.
        SettingError: ``input_shape``, ``batch_sizes`` or ``tolerance`` is out of range, or there is no preparation
            of images of 8 bits to put into the file.

    Examples:
        >>> import pathlib, tempfile
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        >>> report = export_onnx(network, pathlib.Path(tempfile.mkdtemp()) / "model.onnx", (3, 8, 8))
        >>> report.batch_sizes, report.max_difference < 1e-4
        ((1, 3), True)
    """
    path = Path(path)
    batch_sizes = tuple(batch_sizes)
    check_settings(input_shape, batch_sizes, tolerance)
    with quiet():
        copied = on_cpu(model)
        if preprocessing is not None:
            copied, description = taking_images(copied, description, preprocessing)
            input_shape = description.example
        batch_of = batch_maker(input_shape, copied)
        # A batch of 1 would be taken for a constant, and one that is compared later would prove less.
        traced = next(size for size in range(2, len(batch_sizes) + 3) if size not in batch_sizes)
        for size in (traced, *batch_sizes):
            check_output(copied, batch_of(size))
        proto = traced_model(copied, batch_of(traced))
        properties = {} if description is None else description.as_properties()
        if architecture is not None:
            properties[METADATA_KEY] = as_text(architecture)
        onnx.helper.set_model_props(proto, properties)
        content = checked_bytes(proto)
        difference = largest_difference(content, copied, batch_of, batch_sizes, tolerance)
    try:
        write_file(path, content)
    except ArchitectureFileError as error:
        raise OnnxExportError(str(error)) from error
    opset = next(each.version for each in proto.opset_import if each.domain in ("", "ai.onnx"))
    return OnnxReport(path, difference, batch_sizes, opset, INPUT_NAME, OUTPUT_NAME, len(content))


def put_architecture(architecture: Architecture, path: str | Path) -> None:
    """Let an ONNX file hold another record of the same network, in place of the one that it has.

    Raises:
        ArchitectureFileError: the file cannot be read.
        OnnxExportError: it cannot be written.
    """
    path = Path(path)
    proto = _read(path)
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    onnx.helper.set_model_props(proto, {**properties, METADATA_KEY: as_text(architecture)})
    try:
        write_file(path, proto.SerializeToString(deterministic=True))
    except ArchitectureFileError as error:
        raise OnnxExportError(str(error)) from error


def read_architecture(path: str | Path) -> Architecture:
    """Return the architecture record inside an ONNX file.

    Raises:
        ArchitectureFileError: the file cannot be read, has no record, or has an invalid one.
    """
    path = Path(path)
    for entry in _read(path).metadata_props:
        if entry.key == METADATA_KEY:
            return from_text(entry.value.encode("utf-8"), path)
    raise ArchitectureFileError(
        METADATA_KEY,
        "is not in the file's metadata",
        "Export it with export_onnx(..., architecture=...)",
        path,
    )


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ArchitectureFileError(
            "(file)",
            f"is not a readable ONNX file: {readable(str(error))}",
            "Give a file of export_onnx",
            path,
        ) from error


def taking_images(model: nn.Module, description: Description | None, layout: Layout) -> tuple[nn.Module, Description]:
    """Return a network that prepares images of 8 bits itself, and what is to be said of its file."""
    preparation = None if description is None else description.preparation
    if description is None or preparation is None:
        raise SettingError(
            "preprocessing: the inputs are no images, or nothing says how images were prepared in training (which "
            "summary.json does beside an architecture file), so there is nothing to put into the file"
        )
    return with_preparation(model, preparation, layout), description.of_images(preparation, layout)


def check_settings(
    input_shape: Sequence[int] | Tensor | InputExample, batch_sizes: Sequence[int], tolerance: float
) -> None:
    """Refuse settings under which nothing could be exported or compared."""
    if not batch_sizes or not all(isinstance(size, int) and size >= 1 for size in batch_sizes):
        raise SettingError(f"batch_sizes must hold integers of at least 1, not {batch_sizes}")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise SettingError(f"tolerance must be a number above 0, not {tolerance}")
    if isinstance(input_shape, InputExample):
        return  # checked when it was made
    if isinstance(input_shape, Tensor):
        if input_shape.ndim == 0 or input_shape.numel() == 0:
            raise SettingError("input_shape: the example tensor must hold at least one input, batch first")
    elif not all(isinstance(size, int) and size >= 1 for size in input_shape):
        raise SettingError(f"input_shape must hold integers of at least 1, not {input_shape}")


def batch_maker(input_shape: Sequence[int] | Tensor | InputExample, model: nn.Module) -> Callable[[int], Tensor]:
    """Return a function from a batch size to random inputs like the example, always the same ones."""

    def batch_of(batch_size: int) -> Tensor:
        generator = torch.Generator().manual_seed(batch_size)
        floats = (each.dtype for each in model.parameters() if each.is_floating_point())
        dtype = next(floats, torch.float32)
        if isinstance(input_shape, InputExample):
            batch = input_shape.batch(batch_size, seed=batch_size)
            return batch.to(dtype) if batch.is_floating_point() else batch
        if not isinstance(input_shape, Tensor):
            return torch.randn(batch_size, *input_shape, generator=generator).to(dtype)
        example = input_shape.detach().cpu()
        shape = (batch_size, *example.shape[1:])
        if example.is_floating_point():
            spread, centre = torch.std_mean(example, correction=0)
            return (centre + spread * torch.randn(shape, generator=generator)).to(example.dtype)
        # Only values that occur in the example are known to be allowed: token numbers, say.
        picks = torch.randint(example.numel(), (math.prod(shape),), generator=generator)
        return example.reshape(-1)[picks].reshape(shape)

    return batch_of
