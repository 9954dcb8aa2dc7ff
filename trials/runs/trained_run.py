"""A result folder of a search or a retraining, loaded again with the data that it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from exports import Architecture, build
from exports.run_folder import read_summary
from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.data.sources import load_data, with_augmentation
from trials.data.types import TaskData
from trials.progress import Progress
from trials.runs.recorded import recorded_data, recorded_evaluator, recorded_task
from trials.runs.retrain_child import find_architecture
from trials.settings.reader import checked_group
from trials.settings.retrain import AugmentationSettings

__all__ = ["Trained", "load_trained"]


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
    data: TaskData

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
    summary = read_summary(folder)
    recorded, where = architecture.settings, f"{architecture.file or 'the architecture file'}"
    task, evaluator = recorded_task(recorded, where), recorded_evaluator(recorded, space, where)
    loaded = load_data(recorded_data(recorded, data, space, where), progress, task, evaluator)
    if summary.class_names and list(loaded.class_names) != summary.class_names:
        ours, theirs = _some(summary.class_names), _some(loaded.class_names)
        raise SettingError(
            f"data.source: {summary.path.name} says that the network was trained for {len(summary.class_names)} "
            f"classes ({ours}), the data has {loaded.classes} ({theirs})"
        )
    if summary.normalization is not None and loaded.normalisation is not None and data.get("mean") is None:
        # The network knows its own training images' statistics, whatever the data at hand has.
        mean, deviation = summary.normalization
        if len(mean) != len(loaded.normalisation.mean):
            raise SettingError(f"{summary.path}: normalisation: the data has {len(loaded.normalisation.mean)} channels")
        loaded = replace(loaded, normalisation=replace(loaded.normalisation, mean=mean, deviation=deviation))
    return Trained(folder, architecture, child, with_augmentation(loaded, _augmentation(architecture)))


def _augmentation(architecture: Architecture) -> AugmentationSettings:
    recorded = architecture.settings.get("augmentation")
    if not isinstance(recorded, dict):
        return AugmentationSettings()
    where = f"{architecture.file or 'the architecture file'}: settings.augmentation"
    return AugmentationSettings(**checked_group(recorded, AugmentationSettings, where))


def _some(names: Sequence[str]) -> str:
    return readable(", ".join(names[:3]) + ", ..." * (len(names) > 3))
