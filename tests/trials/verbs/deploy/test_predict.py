"""``snas-nni predict``: the answers of the network, from the ONNX file alone, and mistakes in plain words."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from exports import InputExample, export_onnx, open_predictor
from exports.onnx_files.description import Description
from exports.onnx_files.preparation import Preparation
from trials.cli import main

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
NAMES = ("ant", "bee", "cat")


class Network(nn.Module):
    """No space has this class: what is asked here knows its file only."""

    def __init__(self, channels=3, outputs=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(144, outputs))

    def forward(self, images):
        return self.layers(images)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the network's ONNX file and nothing else, and some images."""
    torch.manual_seed(1)
    network = Network().eval()
    preparation = Preparation((8, 8), 1 / 255, MEAN, DEVIATION)
    description = Description(InputExample((3, 8, 8)), NAMES, preparation, "NCHW")
    (tmp_path / "run").mkdir()
    export_onnx(network, tmp_path / "run" / "model.onnx", (3, 8, 8), batch_sizes=(1,), description=description)
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8).numpy()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "large.png")
    np.save(tmp_path / "images.npy", images.transpose(0, 3, 1, 2))
    monkeypatch.chdir(tmp_path)
    return network, description, images


def expected(network, images):
    inputs = (torch.tensor(images) / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return network(inputs.permute(0, 3, 1, 2)).softmax(1).detach().numpy()


def asked(capsys, *words):
    assert main(["predict", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_images_and_arrays_get_the_networks_probabilities(folder, capsys):
    network, _, images = folder
    shares = expected(network, images)
    for words in (["0.png", "1.png", "2.png"], ["--input", "images.npy"]):
        answers = asked(capsys, "run", *words)
        found = np.array([[each["classes"][name] for name in NAMES] for each in answers])
        np.testing.assert_allclose(found, shares, atol=1e-5)
        assert answers[0]["input"] == (words[0] if len(words) == 3 else "images.npy[0]")
    inputs = (images / 255 - MEAN) / DEVIATION
    np.save("prepared.npy", inputs.transpose(0, 3, 1, 2))
    answers = asked(capsys, "run", "--input", "prepared.npy", "--prepared")
    np.testing.assert_allclose([each["classes"]["ant"] for each in answers], shares[:, 0], atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_file_that_prepares_images_itself_answers_the_same(folder, capsys, layout):
    network, description, images = folder
    export_onnx(network, "whole.onnx", (3, 8, 8), batch_sizes=(1,), description=description, preprocessing=layout)
    answers = asked(capsys, "whole.onnx", "0.png", "1.png", "2.png")
    found = [[each["classes"][name] for name in NAMES] for each in answers]
    np.testing.assert_allclose(found, expected(network, images), atol=1e-5)


def test_lines_for_people(folder, capsys):
    network, _, images = folder
    share = expected(network, images)[0]
    best = NAMES[share.argmax()]
    assert main(["predict", "run", "0.png", "--top", "1"]) == 0
    assert capsys.readouterr().out == f"0.png  {best}  {100 * share.max():.1f} %\n"
    assert main(["predict", "run", "0.png", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0.png"
    assert lines[1].split() == [best, f"{100 * share.max():.1f}", "%"]
    assert len(lines) == 3


def test_larger_images_are_scaled_where_that_is_wanted(folder, capsys):
    assert main(["predict", "run", "large.png"]) == 2
    assert "has 30 x 20 pixels (width x height), run takes 8 x 8" in capsys.readouterr().err
    (answer,) = asked(capsys, "run", "large.png", "--resize")
    black = expected(folder[0], np.zeros((1, 8, 8, 3), np.uint8))[0]
    np.testing.assert_allclose(list(answer["classes"].values()), np.sort(black)[::-1], atol=1e-5)
    assert main(["predict", "run", "large.png", "--resize", "--max-pixels", "500"]) == 2
    assert "are more than --max-pixels: 500" in capsys.readouterr().err


def test_gray_networks_and_outputs_that_are_no_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    network = Network(1, 2).eval()
    description = Description(InputExample((1, 8, 8)), (), Preparation((8, 8), 1 / 255), "NCHW")
    export_onnx(network, "model.onnx", (1, 8, 8), batch_sizes=(1,), description=description)
    Image.fromarray(np.full((8, 8, 3), 51, np.uint8)).save("image.png")
    (answer,) = asked(capsys, ".", "image.png")
    values = network(torch.full((1, 1, 8, 8), 0.2)).detach().numpy()[0]
    np.testing.assert_allclose(answer["values"], values, atol=1e-5)
    assert main(["predict", ".", "image.png"]) == 0
    assert capsys.readouterr().out.split() == ["image.png", *(f"{value:.6g}" for value in answer["values"])]


def test_tokens_and_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = nn.Sequential(nn.Embedding(50, 4), nn.Flatten(), nn.Linear(48, 2)).eval()
    example = InputExample((12,), "int64", 0, 49)
    description = Description(example, ("no", "yes"))
    export_onnx(network, "tokens.onnx", example, batch_sizes=(1,), description=description)
    tokens = torch.randint(0, 50, (2, 12))
    np.save("tokens.npy", tokens.numpy().astype(np.float32))
    answers = asked(capsys, "tokens.onnx", "--input", "tokens.npy")
    shares = network(tokens).softmax(1).detach().numpy()
    np.testing.assert_allclose([each["classes"]["yes"] for each in answers], shares[:, 1], atol=1e-5)
    for wrong, words in (
        (tokens.numpy() + 0.5, "takes whole numbers"),
        (tokens.numpy() + 40, "takes 0 to 49"),
        (tokens.numpy()[:, :5], "(N, 12)"),
        (np.array(["a"] * 12), "must be numbers"),
    ):
        np.save("wrong.npy", wrong)
        assert main(["predict", "tokens.onnx", "--input", "wrong.npy"]) == 2
        assert words in capsys.readouterr().err
    Image.new("RGB", (8, 8)).save("image.png")
    assert main(["predict", "tokens.onnx", "image.png"]) == 2
    assert "takes no images but inputs of shape 12, int64, 0 to 49" in capsys.readouterr().err


def test_mistakes_in_plain_words(folder, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no image")
    np.save("object.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "broken.onnx").write_text("no network")
    export_onnx(folder[0], "silent.onnx", (3, 8, 8), batch_sizes=(1,))
    for words, said in (
        (["run"], "give images, or an array"),
        (["run", "0.png", "--input", "images.npy"], "give images, or an array"),
        (["run", "0.png", "--top", "0"], "--top"),
        (["nowhere", "0.png"], "there is no 'nowhere'"),
        (["run", "nowhere.png"], "cannot read the image 'nowhere.png'"),
        (["run", "text.png"], "cannot identify"),
        (["run", "--input", "0.png"], "it is no .npy file of numbers"),
        (["run", "--input", "object.npy"], "it is no .npy file of numbers"),
        (["run", "--input", "nowhere.npy"], "No such file"),
        (["broken.onnx", "0.png"], "ONNX Runtime cannot load it"),
        (["silent.onnx", "0.png"], "does not say what its input is"),
    ):
        assert main(["predict", *words]) == 2
        found = capsys.readouterr()
        assert said in found.err
        assert found.err.count("\n") == 1
        assert found.out == ""


def test_files_of_earlier_versions_are_explained_by_the_summary_beside_them(folder, capsys):
    network, _, images = folder
    export_onnx(network, "old.onnx", (3, 8, 8), batch_sizes=(1,))
    summary = {
        "input_shape": [3, 8, 8],
        "class_names": list(NAMES),
        "normalisation": {"mean": list(MEAN), "deviation": list(DEVIATION)},
    }
    with open("summary.json", "w") as stream:
        json.dump(summary, stream)
    (answer,) = asked(capsys, "old.onnx", "0.png")
    np.testing.assert_allclose(answer["classes"]["bee"], expected(network, images)[0, 1], atol=1e-5)


def test_in_python(folder):
    network, _, images = folder
    predict = open_predictor("run")
    (answer,) = predict(images[0].transpose(2, 0, 1))
    share = expected(network, images)[0]
    assert answer.top(1) == [(NAMES[share.argmax()], pytest.approx(float(share.max()), abs=1e-5))]
    assert answer.probabilities.sum() == pytest.approx(1)
