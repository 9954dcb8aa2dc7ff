"""Images decoded once into one uint8 tensor, kept on disk under a key of what was decoded."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from snas_nni.errors import SettingError
from snas_nni.files import reason_of, replacing
from trials.data.image_decoding import PixelBudget, decode_image
from trials.data.image_listing import ImageFile
from trials.data.types import LabelledTensors
from trials.progress import Progress
from trials.settings.search import DataSettings

__all__ = ["decoded_images", "default_cache_folder"]

_FORMAT = "2"  # goes into the key: a change of how images are decoded must not read old files


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
    key = _key(files, settings)
    try:
        folder = Path(settings.cache).expanduser() if settings.cache else default_cache_folder()
    except RuntimeError as error:  # a user without a home, as containers have them
        progress.say(f"the decoded images of {split} are not kept: {error}")
        return _decode(files, split, settings, progress)
    stored = _stored(folder / f"{key}.safetensors", progress)
    if stored is not None:
        return stored
    images = _decode(files, split, settings, progress)
    _keep(images, folder / f"{key}.safetensors", split, progress)
    return images


def default_cache_folder() -> Path:
    """Return the user's cache folder for this project (XDG on Linux).

    Raises:
        RuntimeError: the user has no home folder, and ``XDG_CACHE_HOME`` names no other.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "snas-nni"


def _stored(path: Path, progress: Progress) -> LabelledTensors | None:
    """Read the images kept at ``path``; None if there are none, or none that can be read."""
    try:
        stored = load_file(path)
        return LabelledTensors(stored["images"], stored["labels"])
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError, SettingError) as error:
        progress.say(f"the cached images in {path} cannot be read; decoding again: {reason_of(error)}")
        return None


def _keep(images: LabelledTensors, path: Path, split: str, progress: Progress) -> None:
    """Write the images so that another process sees the whole file or none; not being able to is only said."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:  # by its name: safetensors copies no gigabytes that way
            save_file({"images": images.inputs, "labels": images.labels}, stream.name)
    except (OSError, SafetensorError) as error:
        progress.say(f"the decoded images of {split} are not kept in {str(path.parent)!r}: {reason_of(error)}")


def _key(files: Sequence[ImageFile], settings: DataSettings) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {settings.image_size} {settings.corrupt} {settings.max_pixels}".encode())
    for file in files:
        digest.update(b"\n" + os.fsencode(file.path) + f"\0{file.label}\0{_version(file)}".encode())
    return digest.hexdigest()[:32]


def _version(file: ImageFile) -> str:
    try:
        status = file.path.stat()
    except OSError as error:  # a link to nothing: named when it is decoded
        return f"errno {error.errno}"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _decode(files: Sequence[ImageFile], split: str, settings: DataSettings, progress: Progress) -> LabelledTensors:
    counter = progress.counter(f"decoding {split}", len(files))
    budget = PixelBudget(settings.max_pixels)

    def decode(file: ImageFile) -> Tensor | SettingError:
        try:
            return decode_image(file.path, settings.image_size, settings.max_pixels, budget)
        except SettingError as error:
            return error

    images: Tensor | None = None
    labels: list[int] = []
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for file, image in zip(files, _in_order(pool, decode, files), strict=True):
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


def _in_order(
    pool: ThreadPoolExecutor,
    decode: Callable[[ImageFile], Tensor | SettingError],
    files: Sequence[ImageFile],
    ahead: int = 64,
) -> Iterator[Tensor | SettingError]:
    """Yield the results in the order of ``files``; at most ``ahead`` of them wait behind a slow one."""
    waiting: deque[Future[Tensor | SettingError]] = deque()
    for file in files:
        waiting.append(pool.submit(decode, file))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _room_for(count: int, image: Tensor) -> Tensor:
    needed, free = count * image.numel(), psutil.virtual_memory().available
    if needed > free:
        raise SettingError(
            f"data.image_size: {count} images of {tuple(image.shape[1:])} need {needed / 1e9:.1f} GB of "
            f"memory, {free / 1e9:.1f} GB are free; choose a smaller size"
        )
    return torch.empty((count, *image.shape), dtype=torch.uint8)
