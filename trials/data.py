"""Labelled tensors in three splits: what every data source gives and every trial reads."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from snas_nni.errors import SettingError
from trials.augmentation import Augmentation, Normalisation
from trials.progress import Progress
from trials.settings import DataSettings
from trials.splits import stratified_split

__all__ = ["ClassificationData", "DataSource", "LabelledTensors", "load_data", "split_examples"]

_TEST_FRACTION = 0.2
_TEST_SEED = 0  # the test split never moves, whatever the settings say


@dataclass(frozen=True)
class LabelledTensors:
    """One split.

    Attributes:
        inputs: shape ``(N, *input_shape)``; images are ``(N, C, H, W)``, uint8 or float.
        labels: shape ``(N,)``, int64, each in ``[0, classes)``.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise SettingError(f"data: {len(self.inputs)} inputs but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> LabelledTensors:
        """Return the rows at ``indices`` (shape ``(M,)``, int64), copied."""
        return LabelledTensors(self.inputs[indices], self.labels[indices])


@dataclass(frozen=True)
class ClassificationData:
    """Three disjoint splits and how their batches are prepared.

    Attributes:
        train: what the search trains on.
        validation: held out from the training data; judges architectures and settings.
        test: looked at once, after the search.
        class_names: one name for each label, in label order.
        normalisation: applied to every batch of every split; None leaves inputs as they are.
        augmentation: applied to training batches only; None for none.
    """

    train: LabelledTensors
    validation: LabelledTensors
    test: LabelledTensors
    class_names: tuple[str, ...]
    normalisation: Normalisation | None = None
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            split: LabelledTensors = getattr(self, name)
            if len(split) == 0:
                raise SettingError(f"data: the {name} split is empty")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.classes:
                raise SettingError(
                    f"data: the {name} split has labels {low}..{high}, but there are {self.classes} classes"
                )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def in_words(self) -> str:
        """How many examples there are, of what shape, in how many classes."""
        return (
            f"{len(self.train)} training, {len(self.validation)} validation and {len(self.test)} test examples of "
            f"shape {self.input_shape}, {self.classes} classes"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without the batch: ``(C, H, W)`` for images."""
        return tuple(self.train.inputs.shape[1:])


class DataSource(Protocol):
    """Anything that turns data settings into splits.

    A user's own function may also take its own keyword arguments (``data.options``) in place of these two, and
    return a tensor of inputs and a tensor of class numbers, of which validation and test parts are held out.
    """

    def __call__(self, settings: DataSettings, progress: Progress) -> ClassificationData:
        """Load the data, telling ``progress`` when it takes long."""
        ...


def load_data(settings: DataSettings, progress: Progress) -> ClassificationData:
    """Load the data that ``settings.source`` names.

    Raises:
        SettingError: the source is unknown, or its settings do not fit the data.
    """
    data = _loaded(_find_source(settings.source), settings, progress)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        return split_examples(*data, settings)
    if not isinstance(data, ClassificationData):
        raise SettingError(
            f"data.source {settings.source!r} must return a tensor of inputs and a tensor of class numbers, or "
            f"trials.data.ClassificationData, not {type(data).__name__}"
        )
    return data


def _loaded(source: Callable[..., object], settings: DataSettings, progress: Progress) -> object:
    required = [
        parameter
        for parameter in inspect.signature(source).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if [parameter.name for parameter in required[:2]] == ["settings", "progress"]:
        return source(settings, progress)
    try:
        inspect.signature(source).bind(**settings.options)
    except TypeError as error:
        raise SettingError(f"data.options do not fit {settings.source}: {error}") from error
    return source(**settings.options)


def split_examples(inputs: Tensor, labels: Tensor, settings: DataSettings) -> ClassificationData:
    """Hold a fifth of the examples out for testing, and validation examples as the settings say.

    Args:
        inputs: shape ``(N, *input_shape)``.
        labels: shape ``(N,)``, whole numbers from 0.
        settings: of the data.
    """
    if inputs.dim() < 2 or labels.dim() != 1 or labels.is_floating_point():
        raise SettingError(
            f"data.source {settings.source!r}: inputs must have a first dimension of examples and labels must be "
            f"whole numbers, one for each; got shapes {tuple(inputs.shape)} and {tuple(labels.shape)} ({labels.dtype})"
        )
    everything = LabelledTensors(inputs, labels.long())
    rest, test = stratified_split(everything.labels, _TEST_FRACTION, _TEST_SEED)
    training = everything.select(rest)
    kept, held_out = stratified_split(training.labels, settings.validation_fraction, settings.split_seed)
    return ClassificationData(
        train=training.select(kept),
        validation=training.select(held_out),
        test=everything.select(test),
        class_names=tuple(str(label) for label in range(int(labels.max()) + 1)),
    )


def _find_source(name: str) -> Callable[..., object]:
    # Imported on demand: torchvision and scikit-learn each cost about a second.
    if name == "digits":
        from trials.digits import load_digits

        return load_digits
    if name in ("folder", "files"):
        from trials.image_folder import load_image_folder

        return load_image_folder
    if name in ("cifar10", "cifar100"):
        from trials.cifar import load_cifar

        return load_cifar
    return import_dotted(name, "data.source")


def import_dotted(path: str, key: str) -> Callable[..., object]:
    """Import ``package.module.name``.

    Args:
        path: dotted path of a function or class.
        key: the setting that holds it, for the error message.

    Raises:
        SettingError: no such module, or no such callable in it.
    """
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        raise SettingError(f"{key}: {path!r} is neither built in nor a dotted path like my_module.MyName")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise SettingError(f"{key}: cannot import {path!r}: {error}") from error
    except AttributeError as error:
        raise SettingError(f"{key}: module {module_name!r} has no {attribute!r}") from error
    if not callable(found):
        raise SettingError(f"{key}: {path!r} is a {type(found).__name__}, not a class or function")
    return cast(Callable[..., object], found)


def channel_statistics(images: Tensor) -> Normalisation:
    """Mean and standard deviation of each channel, in chunks so that uint8 images stay small.

    Args:
        images: shape ``(N, C, H, W)``; uint8 counts as ``[0, 1]`` after division by 255.
    """
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    channels = images.shape[1]
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    count = 0
    for chunk in torch.split(images, 4096):
        values = chunk.to(torch.float64).div_(scale).transpose(0, 1).reshape(channels, -1)
        total += values.sum(dim=1)
        squares += values.square().sum(dim=1)
        count += values.shape[1]
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # A channel that never varies carries nothing; dividing by its zero deviation would carry NaN.
    deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return Normalisation(tuple(mean.tolist()), tuple(deviation.tolist()))
