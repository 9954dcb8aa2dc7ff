"""From a PyTorch model on the CPU to a checked ONNX model in memory."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from exports.errors import OnnxExportError
from snas_nni.files import readable

__all__ = ["INPUT_NAME", "OUTPUT_NAME", "check_output", "checked_bytes", "on_cpu", "quiet", "traced_model"]

OPSET = 18  # the exporter's own target; later ones are reached by conversion only
INPUT_NAME, OUTPUT_NAME = "input", "logits"
NOISY_LOGGERS = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")


def on_cpu(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` on the CPU in evaluation mode."""
    try:
        return copy.deepcopy(model).cpu().eval()
    except Exception as error:
        raise OnnxExportError(
            f"the model cannot be copied: {error}. Drop tensors that belong to a graph (a sampled gate, a "
            "stored activation) from its attributes"
        ) from error


def check_output(model: nn.Module, batch: Tensor) -> None:
    """Refuse models that fail on the input, or that return anything but one tensor."""
    try:
        with torch.no_grad():
            output = model(batch)
    except Exception as error:
        raise OnnxExportError(
            f"the model fails on an input of shape {tuple(batch.shape)} and type {batch.dtype}: {error}"
        ) from error
    if not isinstance(output, Tensor):
        raise OnnxExportError(
            f"the model returns a {type(output).__name__} in evaluation mode; export needs one tensor"
        )


def traced_model(model: nn.Module, batch: Tensor) -> Any:
    """Return the ONNX model of ``model`` traced on ``batch``, with its first dimension left open."""
    try:
        program = torch.onnx.export(
            model,
            (batch,),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        if program is None:
            raise OnnxExportError("torch.onnx.export returned nothing")
        proto = program.model_proto
    except Exception as error:
        raise OnnxExportError(f"torch cannot export the model: {readable(str(error), 1500)}") from error
    without_trace(proto)
    return proto


def without_trace(message: Any) -> None:
    """Remove what the exporter notes about its work: stack traces with the paths of this machine's files."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None and field.name != "initializer":
            for each in value if hasattr(value, "__len__") else [value]:
                without_trace(each)
    for tensor in getattr(message, "initializer", ()):
        tensor.ClearField("metadata_props")
        tensor.ClearField("doc_string")


def checked_bytes(proto: Any) -> bytes:
    """Return the model as a file's content, if ONNX's own checker accepts it."""
    try:
        onnx.checker.check_model(proto, full_check=True)
        content: bytes = proto.SerializeToString(deterministic=True)
    except Exception as error:
        raise OnnxExportError(f"the exported model is not valid ONNX: {readable(str(error), 1500)}") from error
    return content


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's progress notes and warnings out of the user's terminal."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
