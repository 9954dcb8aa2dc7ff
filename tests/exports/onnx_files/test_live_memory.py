"""Live memory of graphs whose peak can be counted by hand."""

import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from exports import OnnxExportError, export_onnx
from exports.onnx_files.live_memory import live_peak


def model_of(nodes, shapes, output, weights=()):
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, [size], [0.0] * size) for name, size in weights]
    return helper.make_model(helper.make_graph(nodes, "graph", [values["x"]], [values[output]], tensors))


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def test_a_skip_connection_stays_alive_until_it_is_read():
    """x (10) is held while a and b are made from it: at b, x + a + b are alive."""
    nodes = [node("Relu", "x", "a"), node("Sigmoid", "a", "b"), node("Add", "x b", "y")]
    assert live_peak(model_of(nodes, {"x": ["batch", 10], "y": ["batch", 10]}, "y")) == 30
    straight = [node("Relu", "x", "a"), node("Sigmoid", "a", "b"), node("Tanh", "b", "y")]
    model = model_of(straight, {"x": ["batch", 10], "y": ["batch", 10]}, "y")
    assert live_peak(model) == 20
    assert live_peak(model, batch=3) == 60


def test_the_order_of_the_file_decides():
    """Two branches of 10 -> 40 -> 10: one after the other holds one large tensor, side by side both."""
    shapes = {"x": [1, 10], "y": [1, 10]}

    def branch(name):
        return [
            node("Concat", "x x x x", f"{name}large", axis=1),
            node("Slice", f"{name}large start end", f"{name}small"),
        ]

    weights = [helper.make_tensor(n, TensorProto.INT64, [2], v) for n, v in (("start", [0, 0]), ("end", [1, 10]))]

    def peak(nodes):
        model = model_of([*nodes, node("Add", "asmall bsmall", "y")], shapes, "y")
        model.graph.initializer.extend(weights)
        return live_peak(model)

    a, b = branch("a"), branch("b")
    assert peak([*a, *b]) == 10 + 10 + 40  # x and the first result while the second large tensor is made
    assert peak([a[0], b[0], a[1], b[1]]) == 10 + 40 + 40


def test_weights_and_changes_of_shape_need_nothing():
    nodes = [node("Abs", "w", "v"), node("Add", "x v", "a"), node("Flatten", "a", "b"), node("Relu", "b", "y")]
    model = model_of(nodes, {"x": [1, 8], "y": [1, 8]}, "y", [("w", 8)])
    assert live_peak(model) == 16


def test_an_exported_network(tmp_path):
    """8 x 8 images: the widest moment is the second convolution, 4 and 6 channels."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1), nn.Flatten(), nn.Linear(384, 3)
    )
    report = export_onnx(network, tmp_path / "model.onnx", (1, 8, 8))
    assert live_peak(report.path) == live_peak(onnx.load(str(report.path))) == (4 + 6) * 64


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "garbage.onnx").write_bytes(b"no model")
    with pytest.raises(OnnxExportError, match="live memory"):
        live_peak(tmp_path / "garbage.onnx")
