"""What a user's own function may return: tensors, numpy arrays or datasets, split already or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from snas_nni.errors import SettingError
from trials.data.augmentation import usual_augmentation
from trials.data.splits import TEST_FRACTION, TEST_SEED, held_out
from trials.data.types import LabelledTensors, TaskData
from trials.settings.run import DataSettings
from trials.tasks import Classification, Task

__all__ = ["SEVERAL_INPUTS", "arrays_by_split", "task_data"]

SEVERAL_INPUTS = (
    "Join several inputs into one tensor, which forward takes apart; or search in a loop of your own (docs/python.md)"
)

_FORMS = (
    "a pair of inputs and targets (tensors or numpy arrays), a torch Dataset of such pairs, (train, test) or "
    "(train, validation, test) of either, a dictionary with these names, or snas_nni.ClassificationData"
)


def task_data(found: object, settings: DataSettings, kind: type[Task] = Classification) -> TaskData:
    """Make splits of what a data source returned. What is not split is held out, class by class where there are any.

    Args:
        found: one of the forms above.
        settings: of the data.
        kind: what a network is to be trained for.

    Raises:
        SettingError: it is none of them, or inputs and targets do not fit, or not the task.
    """
    if isinstance(found, TaskData):
        if found.task.name != kind.name and kind.name != "own":
            raise SettingError(
                f"training.task is {kind.name}, but data.source {settings.source!r} gives data for {found.task.name}"
            )
        return found
    where = f"data.source {settings.source!r}"
    parts = {name: _arrays(part, f"{where}: {name}") for name, part in _splits(found, where).items()}
    names, tables = kind.read([labels for _, labels in parts.values()], where)
    splits = {
        name: _labelled(inputs, labels, f"{where}: {name}")
        for (name, (inputs, _)), labels in zip(parts.items(), tables, strict=True)
    }
    shapes = {tuple(split.inputs.shape[1:]) for split in splits.values()}
    if len(shapes) > 1:
        raise SettingError(f"{where}: the splits have inputs of different shapes: {sorted(shapes)}")
    train = splits["train"]
    if "test" not in splits:
        rest, test = held_out(train.labels, TEST_FRACTION, TEST_SEED, kind)
        train, splits["test"] = train.select(rest), train.select(test)
    if "validation" not in splits:
        kept, held = held_out(train.labels, settings.validation_fraction, settings.split_seed, kind)
        train, splits["validation"] = train.select(kept), train.select(held)
    wanted = train.inputs.dim() == 4 and settings.augmentation in ("shift", "mirror")
    if wanted and kind.name == "segmentation":
        raise SettingError(
            "data.augmentation would move images away from their masks; change both in your own function"
        )
    return TaskData(
        train=train,
        validation=splits["validation"],
        test=splits["test"],
        class_names=names,
        augmentation=usual_augmentation(settings, 4, False) if wanted else None,
        task=kind(len(names)),
    )


def _splits(found: object, where: str) -> dict[str, Any]:
    names = ("train", "validation", "test")
    if isinstance(found, Mapping):
        given = {"validation" if name == "val" else str(name): part for name, part in found.items()}
        if "train" in given and set(given) <= set(names):
            return given
    elif isinstance(found, Dataset):
        return {"train": found}
    elif isinstance(found, (tuple, list)) and len(found) in (2, 3):
        if len(found) == 2 and all(isinstance(part, (Tensor, np.ndarray)) for part in found):
            return {"train": found}
        if all(_is_part(part) for part in found):
            return dict(zip(("train", "test") if len(found) == 2 else names, found, strict=True))
    raise SettingError(f"{where} must return {_FORMS}; not {_kind(found)}{_several_in(found)}")


def _is_part(part: object) -> bool:
    pair = isinstance(part, (tuple, list)) and len(part) == 2
    return isinstance(part, Dataset) or (
        pair and all(isinstance(each, (Tensor, np.ndarray)) for each in part)  # type: ignore[attr-defined]
    )


def _several_in(found: object) -> str:
    """What to do about inputs that are not one tensor each; nothing where that is not what is wrong."""
    parts = (list, tuple, Mapping)
    if not isinstance(found, (list, tuple)) or not any(map(_holds_numbers, found)):
        return ""
    several = len(found) > 2 or any(isinstance(part, parts) for part in found)
    return f". {SEVERAL_INPUTS}" if several else ""


def _holds_numbers(part: object) -> bool:
    inner = list(part.values()) if isinstance(part, Mapping) else part
    inner = inner if isinstance(inner, (list, tuple)) else [inner]
    return any(isinstance(each, (Tensor, np.ndarray)) for each in inner)


def _kind(found: object) -> str:
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {', '.join(type(part).__name__ for part in found[:4])}"
    return f"a {type(found).__name__}"


def _arrays(part: Any, where: str) -> tuple[Any, Any]:
    """Return the inputs and the targets of one split, as tensors or arrays."""
    if isinstance(part, TensorDataset) and len(part.tensors) == 2:
        return part.tensors
    if not isinstance(part, Dataset):
        return part[0], part[1]
    if not hasattr(part, "__len__"):
        raise SettingError(f"{where}: a dataset without a length; return one with __len__ and __getitem__")
    inputs, labels = [], []
    for index in range(len(part)):
        item = part[index]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise SettingError(
                f"{where}: item {index} of the dataset is {_kind(item)}, not a pair of input and label"
                f"{_several_in(item)}"
            )
        inputs.append(_tensor(item[0], f"{where}: input {index}"))
        labels.append(np.asarray(item[1]))
    shapes = {tuple(each.shape) for each in inputs}
    if len(shapes) != 1:
        raise SettingError(f"{where}: inputs of different shapes, such as {sorted(shapes)[:2]}; resize or pad them")
    if len({each.shape for each in labels}) != 1:
        raise SettingError(f"{where}: targets of different shapes, such as {labels[0].shape}; pad them")
    return torch.stack(inputs), np.stack(labels)


def _tensor(values: Any, where: str) -> Tensor:
    """Return the values as a tensor; numbers of 64 bits become those of 32 that networks have."""
    if isinstance(values, (int, float)):
        values = np.asarray(values)
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "biuf":
            raise SettingError(f"{where}: an array of {values.dtype}, not of numbers")
        if values.dtype in (np.uint16, np.uint32, np.uint64):
            values = values.astype(np.int64)
        values = torch.from_numpy(np.ascontiguousarray(values))
    if not isinstance(values, Tensor):
        hint = "; make it a tensor in the dataset, as ToTensor of torchvision does" if hasattr(values, "mode") else ""
        if isinstance(values, (tuple, list, Mapping)) and _holds_numbers(values):
            hint = f". {SEVERAL_INPUTS}"
        raise SettingError(f"{where}: {_kind(values)}, not a tensor or an array{hint}")
    values = values.detach()  # what made them is not trained here
    return values.float() if values.dtype == torch.float64 else values


def _labelled(inputs: Any, labels: Tensor, where: str) -> LabelledTensors:
    values = _tensor(inputs, f"{where}: inputs")
    if values.dim() < 2:
        raise SettingError(
            f"{where}: inputs must have a first dimension of examples and at least one more, got shape "
            f"{tuple(values.shape)}"
        )
    return LabelledTensors(values, labels)


def arrays_by_split(found: Mapping[str, Any], where: str) -> dict[str, tuple[Any, Any]]:
    """Return inputs and targets of each split, as tensors or arrays; datasets are read, item by item.

    Args:
        found: by the split's name: train, and where there are some validation and test.
        where: the data, for messages.

    Raises:
        SettingError: a split is none of the forms above.
    """
    for name, part in found.items():
        if not _is_part(part):
            raise SettingError(
                f"{name} must be a pair of inputs and targets (tensors or numpy arrays), or a torch Dataset or "
                f"DataLoader of such pairs; not {_kind(part)}{_several_in(part)}"
            )
    return {name: _arrays(part, f"{where}: {name}") for name, part in _splits(found, where).items()}
