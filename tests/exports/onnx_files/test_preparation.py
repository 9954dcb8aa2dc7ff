"""What is put into the graph is what training did: equal inputs, and equal logits in ONNX Runtime."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from exports import InputExample, export_onnx
from exports.onnx_files.description import Description
from exports.onnx_files.preparation import Preparation
from snas_nni.errors import SettingError
from trials.data.augmentation import CentralCrop, Normalization

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
PLAIN = Preparation((8, 8), 1 / 255, MEAN, DEVIATION)


def images(side=8, count=4):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def test_arrays_become_what_the_training_saw():
    given = images()
    np.testing.assert_allclose(PLAIN(given.numpy()), Normalization(MEAN, DEVIATION)(given).numpy(), atol=1e-6)
    numbers = torch.rand(4, 3, 8, 8)
    np.testing.assert_allclose(PLAIN(numbers.numpy()), Normalization(MEAN, DEVIATION)(numbers).numpy(), atol=1e-6)
    crop = Preparation((11, 11), 1 / 255, MEAN, DEVIATION, crop=8)
    larger = images(11)
    np.testing.assert_allclose(crop(larger.numpy()), CentralCrop(MEAN, DEVIATION, 8)(larger).numpy(), atol=1e-6)
    assert Preparation((8, 8), 1.0)(given.numpy()).max() == given.max()


@pytest.mark.parametrize(("layout", "crop"), [("NCHW", None), ("NHWC", None), ("NHWC", 8)])
def test_a_file_with_its_preparation_gives_the_logits_of_one_without(edge_child, tmp_path, layout, crop):
    child = edge_child[2]
    side = 11 if crop else 8
    preparation = Preparation((side, side), 1 / 255, MEAN, DEVIATION, crop=crop)
    description = Description(InputExample((3, 8, 8)), ("a", "b"), preparation, "NCHW", metrics={"test_accuracy": 0.5})
    report = export_onnx(
        child, tmp_path / "whole.onnx", (3, 8, 8), batch_sizes=(1,), description=description, preprocessing=layout
    )
    assert report.max_difference < 1e-5
    session = onnxruntime.InferenceSession(report.path, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.type == "tensor(uint8)"
    assert entry.shape[1:] == ([3, side, side] if layout == "NCHW" else [side, side, 3])
    given = images(side)
    kind = CentralCrop(MEAN, DEVIATION, crop) if crop else Normalization(MEAN, DEVIATION)
    expected = child(kind(given)).detach().numpy()
    fed = given.permute(0, 2, 3, 1).contiguous() if layout == "NHWC" else given
    (logits,) = session.run(None, {"input": fed.numpy()})
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["snas_nni.input"])["layout"] == layout
    assert json.loads(properties["snas_nni.preparation"])["in_graph"] is True


def test_what_is_no_image_of_8_bits_has_no_preparation_to_put_in(edge_child, tmp_path):
    shape = InputExample((3, 8, 8))
    for description, words in (
        (None, "no images"),
        (Description(shape), "no images"),
        (Description(shape, preparation=Preparation((8, 8), None)), "no pixels of 8 bits"),
    ):
        with pytest.raises(SettingError, match=words):
            export_onnx(edge_child[2], tmp_path / "x.onnx", (3, 8, 8), description=description, preprocessing="NCHW")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingError, match="no pixels of 8 bits"):
        Preparation((8, 8), None)(images().numpy())


def test_a_plain_export_says_nothing(edge_child, tmp_path):
    report = export_onnx(edge_child[2], tmp_path / "plain.onnx", (3, 8, 8), batch_sizes=(1,))
    assert not onnx.load(report.path).metadata_props


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must have size"),
        ({}, "must have size"),
        ({"size": [8, 8], "extra": 1}, "must have size"),
        ({"size": 8}, "must be lists"),
        ({"size": [8]}, "pixels from 1 to"),
        ({"size": [8, True]}, "pixels from 1 to"),
        ({"size": [8, 2**17]}, "pixels from 1 to"),
        ({"size": [8, 8], "crop": 0}, "pixels from 1 to"),
        ({"size": [8, 8], "scale": float("nan")}, "finite numbers"),
        ({"size": [8, 8], "mean": [1], "deviation": ["a"]}, "finite numbers"),
        ({"size": [8, 8], "mean": [1]}, "a deviation for each mean"),
        ({"size": [8, 8], "mean": [1], "deviation": [0]}, "above 0"),
        ({"size": [8, 8], "scale": -1}, "above 0"),
        ({"size": [8, 9], "resize": True}, "squares only"),
        ({"size": [8, 8], "resize": 1}, "true or false"),
    ],
)
def test_documents_that_may_say_anything(document, words):
    with pytest.raises(SettingError, match=words) as refused:
        Preparation.from_document(document, "model.onnx: preparation")
    assert str(refused.value).startswith("model.onnx: preparation")


def test_documents_come_back():
    for each in (PLAIN, Preparation((8, 8), None), Preparation((32, 32), 1.0, resize=True, crop=24)):
        assert Preparation.from_document(json.loads(json.dumps(each.as_document()))) == each
