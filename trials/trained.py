"""A result folder of a search or a retraining, loaded again with the data that it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from exports import Architecture, build
from snas_nni.errors import SettingError
from trials.data import ClassificationData, load_data
from trials.progress import Progress
from trials.resized_crop import with_augmentation
from trials.retrain_child import find_architecture
from trials.retrain_settings import AugmentationSettings
from trials.settings import DataSettings

__all__ = ["Trained", "load_trained"]

_BUILT_IN_SOURCES = ("digits", "folder", "files", "cifar10", "cifar100")


@dataclass(frozen=True)
class Trained:
    """A trained network and its data.

    Attributes:
        folder: of the architecture file.
        architecture: its record.
        child: the network with the recorded weights, on the CPU.
        data: the splits, normalised as in its training.
    """

    folder: Path
    architecture: Architecture
    child: nn.Module
    data: ClassificationData

    @property
    def onnx(self) -> Path:
        """Path of its ONNX file, which need not be there."""
        return self.folder / "model.onnx"


def load_trained(name: str, space: str | None, data: Mapping[str, Any], progress: Progress) -> Trained:
    """Load a result folder, or the architecture file in it, and its data.

    Args:
        name: path of either.
        space: dotted path of the space's class, which may then be imported; None for this project's spaces.
        data: data settings that are given; the recorded ones fill the gaps.
        progress: told when loading data takes long.

    Raises:
        SettingError: data settings are missing or wrong, or the data has other classes than the network.
        ArchitectureFileError: the file or the weights cannot be used.
    """
    architecture = find_architecture(name)
    child = build(architecture, spaces=space)
    folder = architecture.file.parent if architecture.file is not None else Path()
    summary = _summary(folder)
    loaded = load_data(_data_settings(architecture, data), progress)
    names = summary.get("class_names", list(loaded.class_names))
    if list(loaded.class_names) != names:
        raise SettingError(
            f"data.source: the network was trained for {len(names)} classes ({', '.join(map(str, names[:3]))}, ...), "
            f"the data has {loaded.classes} ({', '.join(loaded.class_names[:3])}, ...)"
        )
    statistics = summary.get("normalisation")
    if statistics is not None and loaded.normalisation is not None:
        # The network knows its own training images' statistics, whatever the data at hand has.
        loaded = replace(
            loaded,
            normalisation=replace(
                loaded.normalisation, mean=tuple(statistics["mean"]), deviation=tuple(statistics["deviation"])
            ),
        )
    return Trained(folder, architecture, child, with_augmentation(loaded, _augmentation(architecture)))


def _data_settings(architecture: Architecture, given: Mapping[str, Any]) -> DataSettings:
    recorded = architecture.settings.get("data")
    recorded = dict(recorded) if isinstance(recorded, dict) else {}
    # A file alone does not decide whose code runs.
    if "source" not in given and recorded.get("source") not in _BUILT_IN_SOURCES:
        raise SettingError(
            f"data.source: the architecture file records {recorded.get('source')!r}; give the data with --data.source"
        )
    try:
        return DataSettings(**{**recorded, **given})
    except TypeError as error:
        raise SettingError(f"data: the architecture file's settings are not those of this version: {error}") from error


def _augmentation(architecture: Architecture) -> AugmentationSettings:
    recorded = architecture.settings.get("augmentation")
    try:
        return AugmentationSettings(**recorded) if isinstance(recorded, dict) else AugmentationSettings()
    except TypeError as error:
        raise SettingError(f"augmentation: the architecture file's are not those of this version: {error}") from error


def _summary(folder: Path) -> dict[str, Any]:
    # The last weights of a retraining lie one folder below what they share with the best ones.
    path = next((each / "summary.json" for each in (folder, folder.parent) if (each / "summary.json").is_file()), None)
    if path is None or (path.parent != folder and folder.name != "last"):
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}: cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}
