"""``data.mean`` and ``data.std``: what is fed, to the network here and through the ONNX file, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from exports import export_onnx, open_predictor
from exports.onnx_files.description import described_by_summary
from snas_nni.errors import SettingError
from trials.data.augmentation import Normalization
from trials.data.loaders import evaluation_loader, input_example, training_loader
from trials.data.sources import load_data, with_given_normalization
from trials.data.types import LabelledTensors, TaskData
from trials.progress import Progress
from trials.runs.session import facts_of
from trials.settings.reader import read_settings
from trials.settings.run import DataSettings
from trials.verbs.retrain import read_retrain_settings

QUIET = Progress(quiet=True)
MEAN, STD = [0.5, 0.25, 0.0], [0.5, 0.25, 2.0]
FED = [1.0, -1.0, 0.1]  # of a pixel (255, 0, 51), by hand


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six images of one color in each of two classes."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (folder / name).mkdir()
        for index in range(6):
            Image.new("RGB", (4, 4), (255, 0, 51)).save(folder / name / f"{index}.png")
    return folder


def settings_of(folder, source="folder", **more):
    given = {"mean": MEAN, "std": STD, "augmentation": "none", "cache": str(folder.parent / "cache"), **more}
    return DataSettings(source=source, path=str(folder), **given)


@pytest.mark.parametrize("source", ["folder", "files"])
def test_every_split_of_a_folder_is_fed_as_given(photos, source):
    data = load_data(settings_of(photos, source, image_size=4), QUIET)
    wanted = torch.tensor(FED).view(3, 1, 1).expand(3, 4, 4)
    for loader in (
        training_loader(data, 2, 0),
        *(evaluation_loader(data, each) for each in (data.validation, data.test)),
    ):
        for inputs, _ in loader:
            torch.testing.assert_close(inputs, wanted.expand_as(inputs), rtol=0, atol=1e-6)


def arrays(scale):
    return np.full((20, 3, 2, 2), scale, dtype=np.float32), np.arange(20) % 2


def test_arrays_of_numbers_are_on_their_own_scale(monkeypatch):
    monkeypatch.setattr("trials.data.sources._function_of", lambda source: lambda: arrays(3.0))
    data = load_data(DataSettings(source="my.load", mean=[1, 2, 3], std=[2, 1, 5], augmentation="none"), QUIET)
    inputs, _ = next(iter(evaluation_loader(data, data.test)))
    assert inputs[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_what_a_source_says_itself_is_replaced():
    part = LabelledTensors(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.arange(4) % 2)
    data = TaskData(part, part, part, ("a", "b"), Normalization((0.0,) * 3, (1.0,) * 3))
    given = with_given_normalization(data, DataSettings(mean=MEAN, std=STD))
    assert given.normalisation == Normalization(tuple(MEAN), tuple(STD))
    assert with_given_normalization(data, DataSettings()) is data


def test_the_onnx_file_prepares_images_as_the_network_was_fed(photos, tmp_path):
    data, settings = load_data(settings_of(photos), QUIET), settings_of(photos)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2)).eval()
    example, said = input_example(data), {**facts_of(data, settings), "metrics": {}}
    assert said["normalisation"] == {"mean": tuple(MEAN), "deviation": tuple(STD)}
    export_onnx(network, tmp_path / "model.onnx", example, description=described_by_summary(said, example))
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    fed = (torch.tensor(images).double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    found = np.stack([answer.values for answer in open_predictor(tmp_path / "model.onnx")(images)])
    np.testing.assert_allclose(found, network(fed.float()).detach().numpy(), atol=1e-5)


def test_a_retraining_takes_them_from_the_run(tmp_path):
    from tests.exports.report.report_runs import write_run  # any run with an architecture file

    recorded = {"data": {"source": "folder", "path": "photos", "mean": MEAN, "std": STD}}
    folder = write_run(tmp_path / "run")
    path = folder / "architecture.json"
    document = json.loads(path.read_text())
    document["settings"] = recorded
    path.write_text(json.dumps(document))
    data = read_retrain_settings([str(folder)]).data
    assert (data.mean, data.std) == (MEAN, STD)


def test_the_command_line_reads_lists():
    found = read_settings(["--data.mean", "[0.485, 0.456, 0]", "--data.std=[0.229, 0.224, 1]"]).data
    assert (found.mean, found.std) == ([0.485, 0.456, 0], [0.229, 0.224, 1])
    assert dataclasses.asdict(found)["std"] == [0.229, 0.224, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": [0.5]}, "data.mean is given without data.std"),
        ({"std": [0.5]}, "data.std is given without data.mean"),
        ({"mean": [0.5], "std": [0.5, 0.5]}, "data.mean has 1 and data.std 2 numbers"),
        ({"mean": [], "std": []}, "data.mean is \\[\\], but must be a list of one number for each channel"),
        ({"mean": 0.5, "std": [1.0]}, "data.mean is 0.5, but must be a list"),
        ({"mean": [True], "std": [1.0]}, "data.mean is .*True.*, but must be a list"),
        ({"mean": [float("nan")], "std": [1.0]}, "data.mean, a number of it, is nan"),
        ({"mean": [0.0], "std": [0.0]}, "data.std, a number of it, is 0.0, but must be above 0"),
        ({"mean": [0.0], "std": [-1.0]}, "data.std, a number of it, is -1.0, but must be above 0"),
        ({"mean": [0.0], "std": [1e-50]}, "data.std, a number of it, is 1e-50, but must be at least 1e-30"),
        ({"mean": [0.0], "std": [float("inf")]}, "data.std, a number of it, is inf"),
    ],
)
def test_what_is_no_normalization_is_refused(given, message):
    with pytest.raises(SettingError, match=message):
        DataSettings(**given)


def test_other_numbers_of_channels_and_other_inputs_are_refused(photos, monkeypatch):
    with pytest.raises(SettingError, match="have 1 number, but the images have 3 channels: give one number for each"):
        load_data(settings_of(photos, mean=[0.0], std=[1.0]), QUIET)
    with pytest.raises(SettingError, match="have 3 numbers, but the images have 1 channel:"):
        load_data(DataSettings(mean=MEAN, std=STD), QUIET)
    monkeypatch.setattr("trials.data.sources._function_of", lambda source: lambda: (np.zeros((9, 3)), np.arange(9) % 2))
    with pytest.raises(SettingError, match=r"for images of shape \(C, H, W\), but inputs have the shape \(3,\)"):
        load_data(DataSettings(source="my.load", mean=MEAN, std=STD), QUIET)
