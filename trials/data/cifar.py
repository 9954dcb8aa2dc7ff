"""CIFAR-10 and CIFAR-100 in torchvision's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from snas_nni.errors import SettingError
from trials.data.splits import held_out_splits
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress
from trials.settings.search import DataSettings

__all__ = ["load_cifar"]


def load_cifar(settings: DataSettings, progress: Progress) -> ClassificationData:
    """Load 50,000 training and 10,000 test images, shape ``(3, 32, 32)``, uint8.

    Raises:
        SettingError: the files are not under ``data.path`` and ``data.download`` is off.
    """
    kind = datasets.CIFAR10 if settings.source == "cifar10" else datasets.CIFAR100
    root = Path(settings.path or "data").expanduser()

    def read(train: bool) -> Any:
        try:
            return kind(root, train=train, download=settings.download)
        except RuntimeError as error:
            raise SettingError(
                f"data.path: no {settings.source} in {str(root)!r}. Give its folder with data.path, or allow "
                f"the download with data.download: true"
            ) from error

    train, test = read(True), read(False)
    return held_out_splits(_tensors(train), _tensors(test), tuple(train.classes), settings)


def _tensors(dataset: Any) -> LabelledTensors:
    images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    return LabelledTensors(images, torch.tensor(dataset.targets, dtype=torch.int64))
