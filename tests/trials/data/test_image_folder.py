"""Image folders: decoded once, cached by content, and clear about what is wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from snas_nni.errors import SettingError
from trials.data import image_cache as decoded_images
from trials.data.sources import load_data
from trials.progress import Progress
from trials.settings.search import DataSettings


def write_image(path: Path, value: int, size: tuple[int, int] = (6, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for index in range(count):
                write_image(tmp_path / "images" / split / name / f"{index}.png", 100 * label + index)
    return tmp_path / "images"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    original = decoded_images.decode_image

    def counted(path: Path, *arguments) -> torch.Tensor:
        seen.append(path)
        return original(path, *arguments)

    monkeypatch.setattr(decoded_images, "decode_image", counted)
    return seen


def read(folder: Path, **settings):
    base = {"source": "folder", "path": str(folder), "cache": str(folder.parent / "cache")}
    return load_data(DataSettings(**{**base, "validation_fraction": 0.25, **settings}), Progress(quiet=True))


def test_images_keep_their_labels_and_values(folder: Path) -> None:
    data = read(folder)
    assert data.class_names == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 4)
    assert data.train.inputs.dtype == torch.uint8
    assert data.input_shape == (3, 6, 6)
    for split in (data.train, data.validation, data.test):
        assert torch.equal((split.inputs[:, 0, 0, 0] >= 100).long(), split.labels)


def test_second_read_comes_from_the_cache(folder: Path, decodings: list[Path]) -> None:
    first = read(folder)
    assert len(decodings) == 12
    second = read(folder)
    assert len(decodings) == 12
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert torch.equal(first.train.labels, second.train.labels)


def test_changed_folder_is_decoded_again(folder: Path, decodings: list[Path]) -> None:
    read(folder)
    changed = folder / "train" / "cat" / "0.png"
    status = changed.stat()
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    read(folder)
    assert len(decodings) == 12 + 8  # the test split is as it was


def test_another_size_is_another_cache_entry(folder: Path, decodings: list[Path]) -> None:
    read(folder)
    assert read(folder, image_size=4).input_shape == (3, 4, 4)
    assert len(decodings) == 24


def test_damaged_cache_is_decoded_again(folder: Path, decodings: list[Path]) -> None:
    first = read(folder)
    for file in (folder.parent / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    assert torch.equal(read(folder).train.inputs, first.train.inputs)
    assert len(decodings) == 24


def test_corrupt_image_is_named_or_skipped(folder: Path) -> None:
    (folder / "train" / "dog" / "0.png").write_bytes(b"no image")
    with pytest.raises(SettingError, match=r"train/dog/0\.png.*data\.corrupt"):
        read(folder)
    data = read(folder, corrupt="skip")
    assert len(data.train) + len(data.validation) == 7


def test_truncated_image_is_corrupt(folder: Path) -> None:
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SettingError, match=r"cat/1\.png"):
        read(folder)


def test_empty_class_folder_is_named(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / "empty_one").mkdir()
    with pytest.raises(SettingError, match="empty_one"):
        read(folder)


def test_class_missing_from_test_is_named(folder: Path) -> None:
    write_image(folder / "train" / "bird" / "0.png", 3)
    with pytest.raises(SettingError, match="bird"):
        read(folder)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no class folders"):
        read(tmp_path)
    with pytest.raises(SettingError, match=r"data\.path"):
        load_data(DataSettings(source="folder"), Progress(quiet=True))


def test_unequal_sizes_ask_for_a_size(folder: Path) -> None:
    write_image(folder / "train" / "cat" / "9.png", 5, size=(9, 7))
    with pytest.raises(SettingError, match=r"cat/9\.png.*image_size"):
        read(folder)
    assert read(folder, image_size=5).input_shape == (3, 5, 5)


@pytest.mark.parametrize("how", ["read-only", "below a file", "no home"])
def test_a_cache_that_cannot_be_written_is_only_told(folder: Path, monkeypatch, capsys, how: str) -> None:
    cache = folder.parent / "cache"
    if how == "read-only":
        cache.mkdir()
        real = decoded_images.save_file

        def refused(tensors: dict, path: Path) -> None:
            real(tensors, path)  # root may write everywhere: the system's refusal comes after the file is there
            raise OSError(30, "Read-only file system", str(path))

        monkeypatch.setattr(decoded_images, "save_file", refused)
    elif how == "below a file":
        cache.write_text("no folder")
    else:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "expanduser", _without_home)
    settings = {"source": "folder", "path": str(folder), "cache": None if how == "no home" else str(cache)}
    data = load_data(DataSettings(**settings), Progress())
    assert len(data.test) == 4
    lines = [line for line in capsys.readouterr().out.splitlines() if "are not kept" in line]
    assert len(lines) == 2
    if how == "read-only":
        assert list(cache.iterdir()) == []


def _without_home(path: Path) -> Path:
    if str(path).startswith("~"):
        raise RuntimeError("Could not determine home directory.")
    return path


def test_a_cache_that_is_not_what_it_says_is_decoded_again(folder: Path, decodings: list[Path]) -> None:
    read(folder)
    for file in (folder.parent / "cache").iterdir():
        save_file({"images": torch.zeros(3, 3, 6, 6, dtype=torch.uint8), "labels": torch.zeros(2).long()}, file)
    assert len(read(folder).test) == 4
    assert len(decodings) == 24


def test_a_name_that_is_no_text_has_a_key(folder: Path) -> None:
    os.rename(folder / "train" / "cat" / "0.png", os.fsencode(folder / "train" / "cat") + b"/\xff.png")
    assert len(read(folder).train) == 6


def test_images_beyond_the_bound_are_named_or_skipped(folder: Path) -> None:
    write_image(folder / "train" / "cat" / "large.png", 7, size=(7, 6))
    with pytest.raises(SettingError, match=r"cat/large\.png.*7 x 6 pixels.*data\.max_pixels: 36"):
        read(folder, max_pixels=36)
    data = read(folder, max_pixels=36, corrupt="skip")
    assert len(data.train) + len(data.validation) == 8


def test_val_is_test_in_imagenet_layout_and_validation_beside_test(folder: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        write_image(folder / "val" / name / "0.png", 100 * label + 50)
    data = read(folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 2, 4)
    (folder / "test").rename(folder / "elsewhere")
    data = read(folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 2)


def spoken(folder: Path, capsys: pytest.CaptureFixture[str], **settings) -> tuple[object, str]:
    base = {"source": "folder", "path": str(folder), "cache": str(folder.parent / "cache")}
    data = load_data(DataSettings(**{**base, "validation_fraction": 0.25, **settings}), Progress())
    return data, capsys.readouterr().out + data.in_words


@pytest.mark.parametrize("source", ["folder", "files"])
def test_a_folder_of_class_folders_only_is_split(folder: Path, capsys, source: str) -> None:
    for index in range(4, 10):
        for label, name in enumerate(("cat", "dog")):
            write_image(folder / "train" / name / f"{index}.png", 100 * label + index)
    data, text = spoken(folder / "train", capsys, source=source, image_size=6)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
    assert "no test/ folder" in text
    assert data.class_names == ("cat", "dog")
    values = [set(split.inputs[:][:, 0, 0, 0].tolist()) for split in (data.train, data.validation, data.test)]
    assert sum(map(len, values)) == len(set.union(*values)) == 20  # every image is in one split
    again, _ = spoken(folder / "train", capsys, source=source, image_size=6, split_seed=9)
    assert torch.equal(again.test.inputs[:], data.test.inputs[:])


def test_train_without_a_test_folder_is_split(folder: Path, capsys) -> None:
    (folder / "test").rename(folder.parent / "elsewhere")
    data, text = spoken(folder, capsys)
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 2, 2)
    assert "no test/ folder" in text


def test_no_folder_and_one_class_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no folder"):
        read(tmp_path / "nowhere")
    write_image(tmp_path / "single" / "cat" / "0.png", 1)
    with pytest.raises(SettingError, match="one class folder only"):
        read(tmp_path / "single")
    (folder / "train").rename(folder / "val")
    with pytest.raises(SettingError, match="must hold train/"):
        read(folder)


@pytest.mark.parametrize(
    ("settings", "words", "padding", "mirror"),
    [
        ({}, "shifted by up to 4 pixels and mirrored left to right at random", 4, True),
        ({"augmentation": "shift"}, "training images are shifted by up to 4 pixels at random", 4, False),
        ({"augmentation": "mirror", "crop_padding": 1}, "shifted by up to 1 pixel and mirrored", 1, True),
        ({"horizontal_flip": False, "cutout": 2}, "shifted by up to 4 pixels and covered by a square", 4, False),
    ],
)
def test_the_data_line_says_what_happens_to_training_images(
    folder: Path, capsys, settings: dict, words: str, padding: int, mirror: bool
) -> None:
    data, text = spoken(folder, capsys, **settings)
    assert words in text
    assert "data.augmentation" in text
    assert (data.augmentation.crop_padding, data.augmentation.horizontal_flip) == (padding, mirror)


def test_one_setting_switches_augmentation_off(folder: Path, capsys) -> None:
    data, text = spoken(folder, capsys, augmentation="none", horizontal_flip=True, cutout=3)
    assert data.augmentation is None
    assert "training inputs are not changed" in text


def test_what_becomes_of_transparent_gray_and_deep_images_is_said(folder: Path, capsys) -> None:
    pixels = np.full((6, 6, 4), 9, np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "train/cat/0.png")
    Image.fromarray(pixels[..., 0], "L").save(folder / "train/cat/1.png")
    Image.fromarray(np.full((6, 6), 40_000, np.uint16)).save(folder / "train/dog/0.png")
    _, text = spoken(folder, capsys)
    assert "train: 1 of 8 images have transparent pixels, which become white" in text
    assert "train: 1 of 8 images are gray" in text
    assert "train: 1 of 8 images have more than 8 bits" in text
    assert "test: " not in text
