"""Images that stay files: the same batches as decoded ones, and ImageNet's recipe on them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snas_nni.errors import SettingError
from trials.cli import main
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data
from trials.data.types import ClassificationData
from trials.progress import Progress
from trials.settings.search import DataSettings


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (80 + index, 90, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


def read(folder: Path, source: str, cache: Path, **settings) -> ClassificationData:
    base = {"source": source, "path": str(folder), "image_size": 72, "cache": str(cache)}
    return load_data(DataSettings(**{**base, **settings}), Progress(quiet=True))


def test_gives_the_batches_of_decoded_images(photos: Path, tmp_path: Path) -> None:
    decoded, files = read(photos, "folder", tmp_path), read(photos, "files", tmp_path)
    assert files.input_shape == decoded.input_shape == (3, 72, 72)
    assert files.normalisation == decoded.normalisation
    assert (files.classes, len(files.validation)) == (decoded.classes, len(decoded.validation))
    for loader in (lambda data: training_loader(data, 4, seed=3), lambda data: evaluation_loader(data, data.test)):
        for (inputs, labels), (expected, expected_labels) in zip(loader(files), loader(decoded), strict=True):
            assert torch.equal(inputs, expected)
            assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize(
    ("settings", "named"), [({"image_size": None}, "data.image_size"), ({"corrupt": "skip"}, "data.corrupt")]
)
def test_settings_that_need_all_images_are_refused(photos: Path, tmp_path: Path, settings: dict, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        read(photos, "files", tmp_path, **settings)


def test_an_unreadable_image_is_named_when_its_batch_comes(photos: Path, tmp_path: Path) -> None:
    data = read(photos, "files", tmp_path)
    broken = data.test.inputs.files[1]
    kept = broken.path.read_bytes()
    broken.path.write_bytes(b"no image")
    try:
        with pytest.raises(SettingError, match=str(broken.path)):
            next(iter(evaluation_loader(data, data.test)))
    finally:
        broken.path.write_bytes(kept)


@pytest.mark.slow
def test_recipe_of_imagenet_on_small_photos(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--recipe=imagenet", "--data.source=files", f"--data.path={photos}", "--data.image_size=72"]
    arguments += ["--augmentation.random_resized_crop=64", "--data.validation_fraction=0.2", "--training.epochs=1"]
    arguments += ["--training.batch_size=4", "--space.init_args.channels=4", "--space.init_args.cells=3"]
    arguments += ["--space.init_args.stem=imagenet", "--accelerator=cpu", f"--output={tmp_path / 'output'}"]
    assert main(["retrain", "moderate", *arguments]) == 0
    assert "label" not in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "output")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2  # two classes have no top-5
    assert lines[0].split("top-1")[1].split(",")[0] == lines[1].split("top-1")[1].split(",")[0]
