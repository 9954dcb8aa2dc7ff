"""Images that stay files until a batch needs them: for data sets that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.types import LabelledTensors
from trials.settings.search import DataSettings

__all__ = ["UNREADABLE", "FileSplit", "ImageFile", "decode_image", "image_files", "list_images"]


class ImageFiles:
    """Looks like a uint8 tensor of shape ``(N, 3, size, size)`` as far as a split is read; decodes on indexing.

    Args:
        files: the images.
        size: side in pixels: the shorter side of an image is scaled to it and the middle is kept.
    """

    def __init__(self, files: Sequence[ImageFile], size: int) -> None:
        self.files = list(files)
        self.size = size
        self.shape = (len(self.files), 3, size, size)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Decode the images of ``rows``, an int64 tensor of shape ``(M,)`` or a slice; ``(M, 3, size, size)``.

        Raises:
            SettingError: an image cannot be read.
        """
        chosen = self.files[rows] if isinstance(rows, slice) else [self.files[row] for row in rows.tolist()]
        images = torch.empty((len(chosen), *self.shape[1:]), dtype=torch.uint8)
        for image, file in zip(images, chosen, strict=True):
            try:
                image.copy_(decode_image(file.path, self.size))
            except UNREADABLE as error:
                raise SettingError(f"data: cannot read the image {str(file.path)!r}: {error}. Remove it") from error
        return images


@dataclass(frozen=True)
class FileSplit(LabelledTensors):
    """A split of image files; its ``inputs`` are :class:`ImageFiles`."""

    def select(self, indices: Tensor) -> LabelledTensors:
        """Return the rows at ``indices`` (shape ``(M,)``, int64), still as files."""
        images = cast(ImageFiles, self.inputs)
        return _split([images.files[row] for row in indices.tolist()], images.size)

    def inputs_for_statistics(self, count: int = 2048) -> Tensor:
        """Decode ``count`` images spread evenly over the split, or all of fewer."""
        rows = torch.linspace(0, len(self) - 1, min(count, len(self))).round().to(torch.int64)
        return self.inputs[rows]


def image_files(files: Sequence[ImageFile], settings: DataSettings) -> FileSplit:
    """Make a split of files.

    Raises:
        SettingError: no size is given, or unreadable images should be skipped, which needs reading all of them.
    """
    if settings.image_size is None:
        raise SettingError("data.image_size: the source 'files' needs the side of its images in pixels")
    if settings.corrupt == "skip":
        raise SettingError("data.corrupt: the source 'files' cannot skip images, as it reads them one batch at a time")
    return _split(files, settings.image_size)


def _split(files: Sequence[ImageFile], size: int) -> FileSplit:
    labels = torch.tensor([file.label for file in files], dtype=torch.int64)
    return FileSplit(cast(Tensor, ImageFiles(files, size)), labels)


_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".gif", ".tif", ".tiff"}


UNREADABLE = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageFile:
    """One image on disk and its label."""

    path: Path
    label: int


def list_images(folder: Path, class_names: Sequence[str]) -> list[ImageFile]:
    """List the images of each class folder, in name order, at any depth.

    Raises:
        SettingError: a class folder holds no image.
    """
    files: list[ImageFile] = []
    for label, name in enumerate(class_names):
        paths = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise SettingError(f"data.path: the class folder {str(folder / name)!r} holds no image")
        files.extend(ImageFile(path, label) for path in paths)
    return files


def decode_image(path: Path, size: int | None) -> Tensor:
    """Decode one image to uint8 RGB, shape ``(3, H, W)``.

    Args:
        path: the file.
        size: side of the square result, in pixels: the shorter side is scaled to it and the middle is kept.
            None keeps the image's own size.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if size is not None and image.size != (size, size):
        scale = size / min(image.size)
        width, height = (max(size, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
