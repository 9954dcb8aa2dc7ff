"""Images that stay files until a batch needs them: for data sets that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.image_decoding import decode_image
from trials.data.image_listing import ImageFile, refuse_unreadable
from trials.data.types import LabelledTensors
from trials.settings.search import DataSettings

__all__ = ["FileSplit", "image_files"]


class ImageFiles:
    """Looks like a uint8 tensor of shape ``(N, 3, size, size)`` as far as a split is read; decodes on indexing.

    Args:
        files: the images.
        size: side in pixels: the shorter side of an image is scaled to it and the middle is kept.
        max_pixels: of the largest image that is decoded.
    """

    def __init__(self, files: Sequence[ImageFile], size: int, max_pixels: int) -> None:
        self.files = list(files)
        self.size = size
        self.max_pixels = max_pixels
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
                image.copy_(decode_image(file.path, self.size, self.max_pixels))
            except SettingError as error:
                raise SettingError(f"{error}. Remove it") from error
        return images


@dataclass(frozen=True)
class FileSplit(LabelledTensors):
    """A split of image files; its ``inputs`` are :class:`ImageFiles`."""

    def select(self, indices: Tensor) -> LabelledTensors:
        """Return the rows at ``indices`` (shape ``(M,)``, int64), still as files."""
        images = cast(ImageFiles, self.inputs)
        return _split([images.files[row] for row in indices.tolist()], images.size, images.max_pixels)

    def inputs_for_statistics(self, count: int = 2048) -> Tensor:
        """Decode ``count`` images spread evenly over the split, or all of fewer."""
        rows = torch.linspace(0, len(self) - 1, min(count, len(self))).round().to(torch.int64)
        return self.inputs[rows]


def image_files(files: Sequence[ImageFile], settings: DataSettings) -> FileSplit:
    """Make a split of files.

    Raises:
        SettingError: no size is given, unreadable images should be skipped, which needs reading all of them, or one
            of the files is not there or no regular file.
    """
    if settings.image_size is None:
        raise SettingError("data.image_size: the source 'files' needs the side of its images in pixels")
    if settings.corrupt == "skip":
        raise SettingError("data.corrupt: the source 'files' cannot skip images, as it reads them one batch at a time")
    refuse_unreadable(files)
    return _split(files, settings.image_size, settings.max_pixels)


def _split(files: Sequence[ImageFile], size: int, max_pixels: int) -> FileSplit:
    labels = torch.tensor([file.label for file in files], dtype=torch.int64)
    return FileSplit(cast(Tensor, ImageFiles(files, size, max_pixels)), labels)
