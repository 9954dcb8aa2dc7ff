"""How many elements of activations an exported graph holds at once, in the order in which its file runs it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import onnx

from exports.errors import OnnxExportError
from snas_nni.files import readable

__all__ = ["live_peak"]

_SAME_MEMORY = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout")
"""Operators whose output is their input under another shape, so that it needs no memory of its own."""


def live_peak(model: Any, batch: int = 1) -> int:
    """Return the most elements of activations that are alive at once; weights are not among them.

    A node's inputs and outputs are alive while it runs, and a tensor is until its last reader has run; the graph's
    output is until the end. Operators that only change the shape share their input's memory. Nothing else is
    assumed to run in place, so a runtime that does so needs less. An 8-bit runtime needs that many bytes, a 32-bit
    one four times as many.

    Args:
        model: the ONNX model, or the path of its file. Nodes are in the order of execution, as ONNX asks.
        batch: what an open dimension counts as, at least 1.

    Raises:
        OnnxExportError: the file cannot be read, or the shape of a tensor is not known.

    Examples:
        >>> from onnx import TensorProto, helper
        >>> shape = {"x": [1, 4], "y": [1, 6], "z": [1, 2]}
        >>> def value(name): return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape[name])
        >>> w, v = (helper.make_tensor(n, TensorProto.FLOAT, d, [0.0] * (d[0] * d[1])) for n, d in
        ...         (("w", [4, 6]), ("v", [6, 2])))
        >>> nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("MatMul", ["y", "v"], ["z"])]
        >>> graph = helper.make_graph(nodes, "two", [value("x")], [value("z")], [w, v])
        >>> live_peak(helper.make_model(graph))  # x and y
        10
    """
    try:
        proto = onnx.load(str(model)) if isinstance(model, (str, Path)) else model
        graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except Exception as error:
        raise OnnxExportError(f"the graph's live memory cannot be told: {readable(str(error), 300)}") from error
    sizes = _sizes(graph, batch)
    constant = {each.name for each in graph.initializer}
    buffer = {each.name: each.name for each in graph.input if each.name not in constant}
    steps: list[tuple[set[str], set[str]]] = []
    for node in graph.node:
        read = {buffer[name] for name in node.input if name in buffer}
        if not read:
            constant.update(node.output)  # of weights alone, which a runtime computes once
            continue
        written = set()
        for name in filter(None, node.output):
            shares = node.op_type in _SAME_MEMORY and node.input[0] in buffer
            buffer[name] = buffer[node.input[0]] if shares else name
            written.add(buffer[name])
        steps.append((read, written))
    last = {name: number for number, (read, written) in enumerate(steps) for name in read | written}
    last |= {buffer[each.name]: len(steps) for each in graph.output if each.name in buffer}
    alive = {each.name for each in graph.input if each.name in buffer}
    peak = 0
    for number, (_, written) in enumerate(steps):
        alive |= written
        peak = max(peak, sum(_size(name, sizes) for name in alive))
        alive = {name for name in alive if last.get(name, -1) > number}
    return peak


def _sizes(graph: Any, batch: int) -> dict[str, int]:
    sizes = {}
    for each in [*graph.input, *graph.value_info, *graph.output]:
        kind = each.type.tensor_type
        if kind.HasField("shape"):
            sizes[each.name] = math.prod(d.dim_value if d.HasField("dim_value") else batch for d in kind.shape.dim)
    return sizes


def _size(name: str, sizes: dict[str, int]) -> int:
    if name not in sizes:
        raise OnnxExportError(f"the graph's live memory cannot be told: the shape of {name!r} is not known")
    return sizes[name]
