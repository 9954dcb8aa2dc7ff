"""A file says what it is for: written, read back, and refused where it says nonsense."""

import json

import onnxruntime
import pytest

import snas_nni
from exports import InputExample, export_onnx, read_architecture
from exports.onnx_files.description import Description, described_by_summary, read_description
from exports.onnx_files.preparation import Preparation
from snas_nni.errors import SettingError

IMAGE = InputExample((3, 8, 8), "float32", -1.5, 2.5)
SUMMARY = {
    "class_names": ["cat", "große Katze"],
    "preparation": Preparation((8, 8), 1 / 255, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)).as_document(),
    "metrics": {"test_accuracy": 0.75, "validation_accuracy": 0.5, "macs": 1e6, "seconds": 3},
}


def test_a_file_says_what_the_runs_summary_says(edge_child, edge_architecture, tmp_path):
    described = described_by_summary(SUMMARY, IMAGE)
    assert described.class_names == ("cat", "große Katze")
    assert described.metrics == {"test_accuracy": 0.75, "validation_accuracy": 0.5}
    assert (described.layout, described.preparation.mean) == ("NCHW", (0.1, 0.2, 0.3))
    path = tmp_path / "model.onnx"
    export_onnx(edge_child[2], path, IMAGE, edge_architecture, batch_sizes=(1,), description=described)
    properties = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert properties["snas_nni.version"] == snas_nni.__version__
    assert read_description(properties, "model.onnx") == described
    assert read_architecture(path) == edge_architecture


def test_earlier_summaries_and_inputs_that_are_no_images():
    old = {"class_names": None, "normalisation": {"mean": [0.5], "deviation": [0.25], "side": 3}}
    described = described_by_summary(old, InputExample((1, 8, 8)))
    assert described.preparation == Preparation((8, 8), 1 / 255, (0.5,), (0.25,))
    tokens = described_by_summary(SUMMARY, InputExample((16,), "int64", 0, 99))
    assert (tokens.preparation, tokens.layout) == (None, None)
    assert read_description(tokens.as_properties(), "x") == tokens
    assert read_description({"producer": "other"}, "x") is None


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("input", "{", "snas_nni.input cannot be read"),
        ("input", "[]", "must have a shape"),
        ("input", '{"shape": [3], "layout": "XY"}', "layout must be"),
        ("input", '{"shape": [3], "shape": [4]}', "given twice"),
        ("class_names", '"abc"', "must be a list of texts"),
        ("class_names", "[1]", "must be a list of texts"),
        ("preparation", '{"size": [0, 1]}', "snas_nni.preparation: preparation: size"),
        ("preparation", '{"size": [1, 1], "in_graph": 1}', "must be"),
        ("metrics", "[" * 100_000, "snas_nni.metrics cannot be read"),
    ],
)
def test_nonsense_names_the_entry(key, text, words):
    properties = {**described_by_summary(SUMMARY, IMAGE).as_properties(), f"snas_nni.{key}": text}
    with pytest.raises(SettingError, match=words) as refused:
        read_description(properties, "model.onnx")
    assert str(refused.value).startswith("model.onnx")


def test_a_number_that_is_none_stays_out():
    described = Description(IMAGE, metrics={"test_accuracy": float("nan"), "validation_accuracy": 0.5})
    assert json.loads(described.as_properties()["snas_nni.metrics"]) == {"validation_accuracy": 0.5}
