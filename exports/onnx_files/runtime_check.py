"""Does ONNX Runtime compute what the model computes? Numbers, not trust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from exports.errors import OnnxExportError

__all__ = ["largest_difference", "relative_difference"]

SMALLEST_SCALE = 1e-6  # outputs below this are compared absolutely; their rounding is not worth a refusal


def largest_difference(
    content: bytes,
    model: nn.Module,
    batch_of: Callable[[int], Tensor],
    batch_sizes: Sequence[int],
    tolerance: float,
) -> float:
    """Run the ONNX model and the PyTorch model on the same random batches; return the largest difference.

    Args:
        content: the ONNX file's bytes, with one input and one output.
        model: the PyTorch model on the CPU in evaluation mode.
        batch_of: gives an input of the given batch size, shape ``(batch, ...)``.
        batch_sizes: the batch sizes to try.
        tolerance: the largest difference allowed, relative to the largest absolute output.

    Returns:
        The largest absolute difference divided by the largest absolute output of its batch.

    Raises:
        OnnxExportError: ONNX Runtime cannot run the file, or the outputs differ by more than ``tolerance``.
    """
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it prints errors that it raises as well
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise OnnxExportError(f"ONNX Runtime cannot load the exported model: {error}") from error
    (input_name,) = (each.name for each in session.get_inputs())
    differences = []
    for batch_size in batch_sizes:
        batch = batch_of(batch_size)
        with torch.no_grad():
            expected = model(batch).numpy()
        try:
            (actual,) = session.run(None, {input_name: batch.numpy()})
        except Exception as error:
            raise OnnxExportError(
                f"ONNX Runtime cannot run the exported model at batch size {batch_size}: {error}. A model "
                "whose forward uses the batch size as a Python number cannot be exported for all of them"
            ) from error
        try:
            differences.append(relative_difference(expected, actual, tolerance))
        except OnnxExportError as error:
            raise OnnxExportError(f"at batch size {batch_size} {error}") from None
    return max(differences)


def relative_difference(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any], tolerance: float) -> float:
    """Return ``max |actual - expected| / max |expected|`` if it is within ``tolerance``.

    For outputs of shape ``(batch, classes)`` the largest class must be the same in every row too, or one that
    ``expected`` ranks equal within the tolerance.

    Raises:
        OnnxExportError: the shapes differ, a value is not finite, or the outputs disagree; with the numbers.
    """
    if expected.shape != actual.shape:
        raise OnnxExportError(f"PyTorch gives shape {expected.shape} and ONNX Runtime {actual.shape}")
    reference, result = expected.astype(np.float64), actual.astype(np.float64)
    if not np.isfinite(reference).all() or not np.isfinite(result).all():
        raise OnnxExportError(
            f"PyTorch gives {np.sum(~np.isfinite(reference))} values that are not finite and ONNX Runtime "
            f"{np.sum(~np.isfinite(result))}, so nothing can be compared; check the model's weights"
        )
    scale = max(float(np.abs(reference).max(initial=0.0)), SMALLEST_SCALE)
    difference = float(np.abs(reference - result).max(initial=0.0)) / scale
    if difference > tolerance:
        raise OnnxExportError(
            f"ONNX Runtime differs from PyTorch by {difference:.3g} of the largest output ({scale:.3g}), "
            f"more than the tolerance {tolerance:.3g}. A forward that depends on random numbers, on "
            "Python state that it changes, or on the batch size, cannot be exported"
        )
    if reference.ndim == 2 and reference.shape[1] > 0:
        rows = np.arange(len(reference))
        lead = reference.max(axis=1) - reference[rows, result.argmax(axis=1)]
        if float(lead.max(initial=0.0)) > tolerance * scale:
            raise OnnxExportError(f"the largest class differs in {np.sum(lead > tolerance * scale)} rows")
    return difference
