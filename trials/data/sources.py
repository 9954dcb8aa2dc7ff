"""From the settings of the data to its three splits, by the source that the settings name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from snas_nni.errors import SettingError
from trials.data.augmentation import CentralCrop, ResizedCrop
from trials.data.own_data import classification_data
from trials.data.types import ClassificationData
from trials.progress import Progress
from trials.settings.retrain import AugmentationSettings
from trials.settings.search import DataSettings
from trials.settings.user_code import import_dotted

__all__ = ["DataSource", "load_data", "with_augmentation"]


class DataSource(Protocol):
    """Anything that turns data settings into splits.

    A user's own function may also take its own keyword arguments (``data.options``) in place of these two, and
    return any of the forms of :func:`~trials.data.own_data.classification_data`.
    """

    def __call__(self, settings: DataSettings, progress: Progress) -> ClassificationData:
        """Load the data, telling ``progress`` when it takes long."""
        ...


def load_data(settings: DataSettings, progress: Progress) -> ClassificationData:
    """Load the data that ``settings.source`` names.

    Raises:
        SettingError: the source is unknown, or its settings do not fit the data.
    """
    return classification_data(_loaded(_find_source(settings.source), settings, progress), settings)


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


def _find_source(name: str) -> Callable[..., object]:
    # Imported on demand: torchvision and scikit-learn each cost about a second.
    if name == "digits":
        from trials.data.digits import load_digits

        return load_digits
    if name in ("folder", "files"):
        from trials.data.image_folder import load_image_folder

        return load_image_folder
    if name in ("cifar10", "cifar100"):
        from trials.data.cifar import load_cifar

        return load_cifar
    return import_dotted(name, "data.source")


def with_augmentation(data: ClassificationData, settings: AugmentationSettings) -> ClassificationData:
    """Return the data with the augmentation that the settings add.

    Raises:
        SettingError: the data are not images, have no augmentation of their own, or are smaller than the crop.
    """
    side = settings.random_resized_crop
    if side is None and not any(settings.colour_jitter):
        return data
    if len(data.input_shape) != 3 or data.augmentation is None or data.normalisation is None:
        raise SettingError("augmentation: the data source gives no images that could be cropped and coloured")
    augmentation = ResizedCrop(**vars(data.augmentation), side=side, colour_jitter=settings.colour_jitter)
    if side is None:
        return replace(data, augmentation=augmentation)
    if min(data.input_shape[1:]) < side:
        raise SettingError(
            f"augmentation.random_resized_crop is {side}, but images are {data.input_shape[1]} x "
            f"{data.input_shape[2]} pixels; give a larger data.image_size"
        )
    return replace(data, augmentation=augmentation, normalisation=CentralCrop(**vars(data.normalisation), side=side))
