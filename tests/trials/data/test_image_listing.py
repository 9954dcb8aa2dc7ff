"""A folder's images are listed whole: links are followed, loops and pipes are named."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snas_nni.errors import SettingError
from trials.data.image_listing import list_images
from trials.data.sources import load_data
from trials.progress import Progress
from trials.settings.search import DataSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for index in range(3):
                pixels = np.full((6, 6, 3), index, np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{index}.png")
    return tmp_path / "images"


def read(folder: Path, source: str, corrupt: str = "error"):
    settings = DataSettings(
        source=source, path=str(folder), image_size=6, cache=str(folder.parent / "cache"), corrupt=corrupt
    )
    return load_data(settings, Progress(quiet=True))


def broken(folder: Path, kind: str) -> Path:
    path = folder / "train" / "cat" / "broken.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "loop" else folder / "nowhere.png")
    return path


@pytest.mark.parametrize("source", ["folder", "files"])
@pytest.mark.parametrize("kind", ["pipe", "loop", "dangling"])
def test_what_is_no_file_is_named_before_the_search(folder: Path, source: str, kind: str) -> None:
    path = broken(folder, kind)
    with pytest.raises(SettingError, match=f"{path}.*Remove it"):
        read(folder, source)


@pytest.mark.parametrize("kind", ["pipe", "loop", "dangling"])
def test_what_is_no_file_is_skipped_where_corrupt_ones_are(folder: Path, kind: str) -> None:
    broken(folder, kind)
    data = read(folder, "folder", "skip")
    assert len(data.train) + len(data.validation) == 6


def test_folders_behind_links_are_read_and_folders_are_no_images(folder: Path) -> None:
    (folder / "train" / "cat" / "named.png").mkdir()
    (folder / "train" / "dog" / "more").symlink_to(folder / "train" / "cat", target_is_directory=True)
    assert [file.label for file in list_images(folder / "train", ("cat", "dog"))] == [0] * 3 + [1] * 6


def test_a_folder_that_links_to_one_around_it_is_named(folder: Path) -> None:
    loop = folder / "train" / "cat" / "again"
    loop.symlink_to(folder / "train", target_is_directory=True)
    with pytest.raises(SettingError, match=f"{loop}/cat.*is a link to a folder that it lies in"):
        list_images(folder / "train", ("cat",))


def test_a_class_folder_that_is_gone_is_named(folder: Path) -> None:
    with pytest.raises(SettingError, match="bird.*No such file"):
        list_images(folder / "train", ("bird",))
