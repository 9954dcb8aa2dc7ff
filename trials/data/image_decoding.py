"""One image file as 8-bit RGB, whatever its format, depth, transparency and orientation; bounded in memory."""

from __future__ import annotations

import math
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.data.pixel_values import eight_bit_rgb

__all__ = ["FORMATS", "SUFFIXES", "PixelBudget", "decode_image", "refuse_unless_regular"]

# What a suffix promises is all that Pillow may try: others start programs (EPS) or are rarely looked at.
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".gif", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "GIF", "TIFF")

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # data.max_pixels is the bound here


class PixelBudget:
    """Lets threads decode at once as long as their images together have at most ``pixels`` pixels.

    A single image waits for no other one to grow smaller: it is let in once it is alone.

    Args:
        pixels: at least 1.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for an image of so many pixels, and hold it inside the ``with`` block."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def decode_image(path: Path, size: int | None, max_pixels: int, budget: PixelBudget | None = None) -> Tensor:
    """Decode one image to uint8 RGB, shape ``(3, H, W)``; of an animation the first picture.

    Transparent pixels show white, 16 bits are scaled to 8, and the image is turned upright as its EXIF data say.

    Args:
        path: the file.
        size: side of the square result, in pixels: the shorter side is scaled to it and the middle is kept.
            None keeps the image's own size.
        max_pixels: width times height of the largest image that is decoded; up to 12 bytes of memory each.
        budget: shared by the threads that decode at once; None for a single one.

    Raises:
        SettingError: names the file and why it cannot be read.
    """
    try:
        with _open_regular(path) as stream, Image.open(stream, formats=FORMATS) as image:
            pixels = _pixels(image.size, size, max_pixels)
            with (budget or PixelBudget(pixels)).reserve(pixels):
                return torch.from_numpy(np.array(_square(eight_bit_rgb(image), size))).permute(2, 0, 1)
    except MemoryError:
        raise  # this machine's matter, not the file's
    except Exception as error:  # damaged files make Pillow raise whatever its parsers stumble over
        reason = getattr(error, "strerror", None) or readable(str(error) or type(error).__name__, 200)
        raise SettingError(f"data: cannot read the image {str(path)!r}: {reason}") from error


def refuse_unless_regular(mode: int) -> None:
    """Refuse folders, pipes, sockets and devices: reading them may never end.

    Args:
        mode: ``st_mode`` of a file's status.

    Raises:
        OSError: it is none of a regular file.
    """
    if not stat.S_ISREG(mode):
        raise OSError("it is not a regular file")


@contextmanager
def _open_regular(path: Path) -> Iterator[BinaryIO]:
    # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        refuse_unless_regular(os.fstat(descriptor).st_mode)
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(descriptor)


def _square(image: Image.Image, size: int | None) -> Image.Image:
    if size is None or image.size == (size, size):
        return image
    width, height = _scaled(image.size, size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _scaled(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Return width and height of an image whose shorter side is scaled to ``size``."""
    scale = size / min(sides)
    width, height = (max(size, round(side * scale)) for side in sides)
    return width, height


def _pixels(sides: tuple[int, int], size: int | None, max_pixels: int) -> int:
    """Return how many pixels an image has where it is largest: as it is, or scaled.

    A line of 60,000,000 x 1 pixels, scaled so that its shorter side has 224, would have 3,000,000,000,000.

    Raises:
        ValueError: more than ``max_pixels``.
    """
    largest = max(sides, sides if size is None else _scaled(sides, size), key=math.prod)
    if math.prod(largest) <= max_pixels:
        return math.prod(largest)
    scaled = "" if largest == sides else f" (from {sides[0]} x {sides[1]}, by data.image_size)"
    raise ValueError(f"{largest[0]} x {largest[1]} pixels{scaled} are more than data.max_pixels: {max_pixels}")
