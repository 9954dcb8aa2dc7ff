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
from trials.data.splits import TEST_FRACTION, TEST_SEED, stratified_split
from trials.data.types import ClassificationData, LabelledTensors
from trials.settings.run import DataSettings

__all__ = ["arrays_by_split", "classification_data"]

_FORMS = (
    "a pair of inputs and class numbers (tensors or numpy arrays), a torch Dataset of such pairs, (train, test) or "
    "(train, validation, test) of either, a dictionary with these names, or snas_nni.ClassificationData"
)


def classification_data(found: object, settings: DataSettings) -> ClassificationData:
    """Make splits of what a data source returned. What is not split is held out, class by class.

    Args:
        found: one of the forms above.
        settings: of the data.

    Raises:
        SettingError: it is none of them, or inputs and labels do not fit.
    """
    if isinstance(found, ClassificationData):
        return found
    where = f"data.source {settings.source!r}"
    parts = {name: _arrays(part, f"{where}: {name}") for name, part in _splits(found, where).items()}
    names, tables = _labels([labels for _, labels in parts.values()], where)
    splits = {
        name: _labelled(inputs, labels, f"{where}: {name}")
        for (name, (inputs, _)), labels in zip(parts.items(), tables, strict=True)
    }
    shapes = {tuple(split.inputs.shape[1:]) for split in splits.values()}
    if len(shapes) > 1:
        raise SettingError(f"{where}: the splits have inputs of different shapes: {sorted(shapes)}")
    train = splits["train"]
    if "test" not in splits:
        rest, test = stratified_split(train.labels, TEST_FRACTION, TEST_SEED)
        train, splits["test"] = train.select(rest), train.select(test)
    if "validation" not in splits:
        kept, held_out = stratified_split(train.labels, settings.validation_fraction, settings.split_seed)
        train, splits["validation"] = train.select(kept), train.select(held_out)
    wanted = train.inputs.dim() == 4 and settings.augmentation in ("shift", "mirror")
    return ClassificationData(
        train=train,
        validation=splits["validation"],
        test=splits["test"],
        class_names=names,
        augmentation=usual_augmentation(settings, 4, False) if wanted else None,
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
    raise SettingError(f"{where} must return {_FORMS}; not {_kind(found)}")


def _is_part(part: object) -> bool:
    pair = isinstance(part, (tuple, list)) and len(part) == 2
    return isinstance(part, Dataset) or (
        pair and all(isinstance(each, (Tensor, np.ndarray)) for each in part)  # type: ignore[attr-defined]
    )


def _kind(found: object) -> str:
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {', '.join(type(part).__name__ for part in found[:4])}"
    return f"a {type(found).__name__}"


def _arrays(part: Any, where: str) -> tuple[Any, Any]:
    """Return the inputs and the labels of one split, as tensors or arrays."""
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
            raise SettingError(f"{where}: item {index} of the dataset is {_kind(item)}, not a pair of input and label")
        inputs.append(_tensor(item[0], f"{where}: input {index}"))
        labels.append(int(item[1]))
    shapes = {tuple(each.shape) for each in inputs}
    if len(shapes) != 1:
        raise SettingError(f"{where}: inputs of different shapes, such as {sorted(shapes)[:2]}; resize or pad them")
    return torch.stack(inputs), torch.tensor(labels)


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
        raise SettingError(f"{where}: {_kind(values)}, not a tensor or an array{hint}")
    return values.float() if values.dtype == torch.float64 else values


def _labels(given: list[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
    """Return the class names and the labels of each split as class numbers; labels may be words in an array."""
    if any(isinstance(each, np.ndarray) and each.dtype.kind in "OUS" for each in given):
        words = [np.asarray(each).astype(str) for each in given]
        names = sorted(set(np.concatenate(words).tolist()))
        numbers = {name: number for number, name in enumerate(names)}
        return tuple(names), [torch.tensor([numbers[name] for name in each.tolist()]) for each in words]
    tables = [_tensor(each, f"{where}: labels") for each in given]
    for each in tables:
        if each.dim() != 1 or each.is_floating_point() or each.dtype == torch.bool or not len(each):
            raise SettingError(
                f"{where}: labels must be whole numbers from 0, one for each input; got shape {tuple(each.shape)} "
                f"({str(each.dtype).removeprefix('torch.')})"
            )
    return tuple(map(str, range(max(int(each.max()) for each in tables) + 1))), [each.long() for each in tables]


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
                f"DataLoader of such pairs; not {_kind(part)}"
            )
    return {name: _arrays(part, f"{where}: {name}") for name, part in _splits(found, where).items()}
