"""Which files of a folder are images, with nothing left out without a word: links, pipes, loops."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snas_nni.errors import SettingError
from snas_nni.files import reason_of
from trials.data.image_decoding import SUFFIXES, refuse_unless_regular

__all__ = ["ImageFile", "list_images", "refuse_unreadable"]


@dataclass(frozen=True)
class ImageFile:
    """One image on disk and its label."""

    path: Path
    label: int


def list_images(folder: Path, class_names: Sequence[str]) -> list[ImageFile]:
    """List the images of each class folder, in name order, at any depth, through symbolic links too.

    What has an image's suffix is listed, also a link to nothing or a pipe, so that whoever reads it can name it.

    Raises:
        SettingError: a class folder holds no image, cannot be read, or has a link to a folder around it.
    """
    files: list[ImageFile] = []
    for label, name in enumerate(class_names):
        try:
            paths = sorted(path for path in _walk(folder / name, ()) if path.suffix.lower() in SUFFIXES)
        except OSError as error:
            where = error.filename or str(folder / name)
            raise SettingError(f"data.path: cannot read the folder {where!r}: {reason_of(error)}") from error
        if not paths:
            raise SettingError(f"data.path: the class folder {str(folder / name)!r} holds no image")
        files.extend(ImageFile(path, label) for path in paths)
    return files


def refuse_unreadable(files: Sequence[ImageFile]) -> None:
    """Refuse files that are not there or are no regular files, without opening them.

    Raises:
        SettingError: names the first.
    """
    for file in files:
        try:
            refuse_unless_regular(file.path.stat().st_mode)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingError(f"data: cannot read the image {str(file.path)!r}: {reason}. Remove it") from error


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield what ``folder`` holds that is no folder, at any depth.

    Args:
        folder: an existing folder.
        above: device and inode of the folders around it.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise SettingError(f"data.path: {str(folder)!r} is a link to a folder that it lies in. Remove it")
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                yield from _walk(Path(entry.path), (*above, here))
            else:
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: named when it is read
        return False
