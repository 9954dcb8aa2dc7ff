"""ONNX files of children that are only timed: exported as for deployment, or faster where the graph is the same.

The exporter for deployment takes seconds for each child. PyTorch's older one takes a tenth of that, and at the same
operator version ONNX Runtime makes the same kernels of its graph. There is one exception that is seen in the file:
code that asks tensors for their shape. A graph with such code is exported as for deployment.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn

from exports.onnx_files.tracing import INPUT_NAME, OPSET, OUTPUT_NAME, check_output, on_cpu, quiet, traced_model
from snas_nni.files import write_atomically

__all__ = ["graph_bytes", "write_graph"]


def graph_bytes(child: nn.Module, inputs: Tensor, *, exact: bool = False) -> bytes:
    """Return the ONNX file of a child, its first dimension open, without running it against the child.

    Args:
        child: a network of one input and one output tensor; it is left as it is.
        inputs: an example, shape ``(N, ...)``, N at least 2.
        exact: export as for deployment in any case.

    Raises:
        OnnxExportError: it cannot be exported.
    """
    with quiet():
        model = on_cpu(child)
        check_output(model, inputs)
        content = None if exact else _quickly(model, inputs)
        if content is None:
            content = traced_model(model, inputs).SerializeToString(deterministic=True)
    return content


def write_graph(child: nn.Module, path: Path, inputs: Tensor, *, exact: bool = False) -> Path:
    """Write what :func:`graph_bytes` returns; return the path."""
    write_atomically(path, graph_bytes(child, inputs, exact=exact))
    return path


def _quickly(model: nn.Module, inputs: Tensor) -> bytes | None:
    """Export with the older exporter; None where it fails, is gone, or the graph computes with shapes."""
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (inputs,),
                cast(Any, stream),  # a file too, says its documentation
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_axes={INPUT_NAME: {0: "batch"}, OUTPUT_NAME: {0: "batch"}},
            )
    except Exception:
        return None  # whatever it dislikes, the exporter for deployment says what is wrong, if anything is
    content = stream.getvalue()
    shapes = any(node.op_type in ("Shape", "Size", "If", "Loop") for node in onnx.load_from_string(content).graph.node)
    return None if shapes else content
