"""Data that a program gave: looked up in its memory while it runs, and in a file of tensors afterwards."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.data.own_data import arrays_by_split
from trials.data.types import TaskData
from trials.progress import Progress
from trials.settings.run import DataSettings

__all__ = ["DATA_FILE", "LARGEST", "GivenData", "load_tensors"]

DATA_FILE = "data.safetensors"
LARGEST = 2**31
"""Bytes of data up to which a folder keeps a copy."""

_held: dict[str, GivenData] = {}


class GivenData:
    """Inputs and targets of each split, as a program gave them.

    Args:
        train: a pair of inputs and targets (tensors or numpy arrays), a torch ``Dataset`` of such pairs, or a
            ``DataLoader`` of one. A dataset is read once, item by item.
        validation: the same; None to hold some of ``train`` out.
        test: the same; None to hold some of ``train`` out.

    Raises:
        SettingError: one of them is something else.
    """

    def __init__(self, train: Any, validation: Any = None, test: Any = None) -> None:
        parts = {"train": train, "validation": validation, "test": test}
        given = {name: _dataset_of(part, name) for name, part in parts.items() if part is not None}
        self.splits = arrays_by_split(given, "data")

    @contextlib.contextmanager
    def held_as(self, path: Path) -> Iterator[None]:
        """Be what the source ``tensors`` gives for ``path`` inside a ``with`` block, whatever file is there."""
        before = _held.get(str(path))
        _held[str(path)] = self
        try:
            yield
        finally:
            del _held[str(path)]
            if before is not None:
                _held[str(path)] = before

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return what the file holds: tensors by name, and the names of classes where targets are words.

        Raises:
            SettingError: the data has more bytes than a folder keeps a copy of.
        """
        words: dict[str, str] = {}
        tensors: dict[str, Tensor] = {}
        for name, (inputs, targets) in self.splits.items():
            tensors[f"{name}.inputs"] = _as_tensor(inputs)
            if isinstance(targets, np.ndarray) and targets.dtype.kind in "OUS":  # a number for each distinct word
                names, numbers = np.unique(targets.astype(str), return_inverse=True)
                words[name] = json.dumps(names.tolist())
                targets = numbers.reshape(targets.shape)
            tensors[f"{name}.targets"] = _as_tensor(targets)
        size = sum(each.numel() * each.element_size() for each in tensors.values())
        if size > LARGEST:
            raise SettingError(
                f"the data has {size / 2**30:.1f} GiB, and a folder keeps a copy of at most {LARGEST / 2**30:.0f}. "
                "Leave output out, and say where commands find it: .save(folder, data='my_data.load'), a function of "
                "yours that returns it"
            )
        return tensors, words

    def write(self, path: Path) -> None:
        """Write the file that the source ``tensors`` reads.

        Raises:
            SettingError: the data has more bytes than a folder keeps a copy of; or the file cannot be written.
        """
        tensors, words = self.tensors()
        try:
            # Of memory of their own: a file holds no tensor twice.
            save_file({name: each.clone() for name, each in tensors.items()}, path, metadata=words)
        except OSError as error:
            raise SettingError(f"cannot write {str(path)!r}: {error}") from error


def load_tensors(settings: DataSettings, progress: Progress) -> dict[str, tuple[Any, Any]]:
    """Give the data that a program holds for ``data.path``, or that of the file there.

    Returns:
        Inputs and targets of each split that there is.

    Raises:
        SettingError: there is no such file, or it holds something else.
    """
    if settings.path is None:
        raise SettingError("data.path: the file of tensors, such as data.safetensors in the folder of a run")
    if settings.path in _held:
        return _held[settings.path].splits
    path = Path(settings.path).expanduser()
    if not path.is_file():
        raise SettingError(f"data.path: there is no file {str(path)!r}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
            words = {name: json.loads(text) for name, text in (file.metadata() or {}).items() if name in _SPLITS}
    except (OSError, SafetensorError, ValueError) as error:
        raise SettingError(f"data.path: {str(path)!r} is no file of tensors: {error}") from error
    splits = {name.partition(".")[0] for name in tensors}
    wanted = {f"{split}.{part}" for split in splits for part in ("inputs", "targets")}
    if "train" not in splits or not splits <= set(_SPLITS) or set(tensors) != wanted:
        raise SettingError(
            f"data.path: {str(path)!r} holds {readable(', '.join(sorted(tensors)[:4]))}; it must hold train.inputs and "
            "train.targets, and may hold the same of validation and test"
        )
    return {
        name: (tensors[f"{name}.inputs"], _with_words(tensors[f"{name}.targets"], words.get(name), path))
        for name in _SPLITS
        if name in splits
    }


_SPLITS = ("train", "validation", "test")


def _with_words(targets: Tensor, words: Any, path: Path) -> Any:
    if words is None:
        return targets
    numbers = targets.numpy()
    if not isinstance(words, list) or not words or numbers.min() < 0 or numbers.max() >= len(words):
        raise SettingError(f"data.path: {str(path)!r}: the names of classes do not fit the targets")
    return np.asarray([str(word) for word in words])[numbers]


def _as_tensor(values: Any) -> Tensor:
    if isinstance(values, np.ndarray):
        if values.dtype in (np.uint16, np.uint32, np.uint64):
            values = values.astype(np.int64)
        values = torch.from_numpy(np.ascontiguousarray(values))
    return values.detach().cpu().contiguous()


def _dataset_of(part: Any, name: str) -> Any:
    if isinstance(part, (TaskData, Mapping)):
        raise SettingError(f"{name}: give one split each, as train, validation and test; not a {type(part).__name__}")
    if not isinstance(part, DataLoader):
        return part
    return part.dataset if isinstance(part.dataset, Dataset) else _Items(part.dataset)


class _Items(Dataset[Any]):
    """A loader's list, or whatever else it takes that is not derived from torch's class."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self._items[index]
