"""Images decoded once into one uint8 tensor, kept on disk under a key of what was decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from snas_nni.errors import SettingError
from snas_nni.files import replacing
from trials.data.image_files import UNREADABLE, ImageFile, decode_image
from trials.data.types import LabelledTensors
from trials.progress import Progress
from trials.settings.search import DataSettings

__all__ = ["decoded_images", "default_cache_folder"]

_FORMAT = "1"  # goes into the key: a change of how images are decoded must not read old files


def decoded_images(
    files: Sequence[ImageFile], split: str, settings: DataSettings, progress: Progress
) -> LabelledTensors:
    """Return the images as uint8 of shape ``(N, 3, H, W)``, from the cache when nothing has changed.

    Args:
        files: what to decode, at least one.
        split: name of the split, for messages.
        settings: image size, what to do with corrupt images, cache folder.
        progress: told how far decoding is.

    Raises:
        SettingError: an image cannot be read (with ``corrupt: error``), sizes differ and no ``image_size`` is
            given, or the images do not fit into memory.
    """
    folder = Path(settings.cache).expanduser() if settings.cache else default_cache_folder()
    path = folder / f"{_key(files, settings)}.safetensors"
    if path.is_file():
        try:
            stored = load_file(path)
            return LabelledTensors(stored["images"], stored["labels"])
        except (SafetensorError, KeyError):
            progress.say(f"the cached images in {path} are damaged; decoding again")
    images = _decode(files, split, settings, progress)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:  # by its name: safetensors copies no gigabytes that way
        save_file({"images": images.inputs, "labels": images.labels}, stream.name)
    return images


def default_cache_folder() -> Path:
    """Return the user's cache folder for this project (XDG on Linux)."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "snas-nni"


def _key(files: Sequence[ImageFile], settings: DataSettings) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {settings.image_size} {settings.corrupt}".encode())
    for file in files:
        status = file.path.stat()
        digest.update(f"\n{file.path}\0{file.label}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _decode(files: Sequence[ImageFile], split: str, settings: DataSettings, progress: Progress) -> LabelledTensors:
    counter = progress.counter(f"decoding {split}", len(files))

    def decode(file: ImageFile) -> Tensor | SettingError:
        try:
            return decode_image(file.path, settings.image_size)
        except UNREADABLE as error:
            return SettingError(f"data: cannot read the image {str(file.path)!r}: {error}")

    images: Tensor | None = None
    labels: list[int] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for file, image in zip(files, pool.map(decode, files), strict=True):
            counter.advance()
            if isinstance(image, SettingError):
                if settings.corrupt == "error":
                    pool.shutdown(cancel_futures=True)
                    raise SettingError(f"{image}. Remove it, or set data.corrupt: skip") from image
                progress.say(f"skipped: {image}")
                continue
            if images is None:
                images = _room_for(len(files), image)
            if image.shape != images.shape[1:]:
                pool.shutdown(cancel_futures=True)
                raise SettingError(
                    f"data.image_size: {str(file.path)!r} is {tuple(image.shape[1:])} (height, width), but "
                    f"earlier images are {tuple(images.shape[2:])}; give data.image_size to resize all"
                )
            images[len(labels)] = image
            labels.append(file.label)
    if images is None:
        raise SettingError(f"data.path: none of the {len(files)} images of {split} can be read")
    return LabelledTensors(images[: len(labels)].contiguous(), torch.tensor(labels, dtype=torch.int64))


def _room_for(count: int, image: Tensor) -> Tensor:
    needed, free = count * image.numel(), psutil.virtual_memory().available
    if needed > free:
        raise SettingError(
            f"data.image_size: {count} images of {tuple(image.shape[1:])} need {needed / 1e9:.1f} GB of "
            f"memory, {free / 1e9:.1f} GB are free; choose a smaller size"
        )
    return torch.empty((count, *image.shape), dtype=torch.uint8)
