"""The mean and the deviation that a user gives in place of those of the training images."""

from __future__ import annotations

from dataclasses import replace

from snas_nni.errors import SettingError
from trials.data.augmentation import Normalization
from trials.data.types import TaskData
from trials.settings.run import DataSettings

__all__ = ["given_normalization", "with_given_normalization"]


def given_normalization(settings: DataSettings, shape: tuple[int, ...]) -> Normalization | None:
    """Return ``data.mean`` and ``data.std`` as what is done to a batch; None where they are not given.

    Args:
        settings: of the data.
        shape: of one input, without the batch: ``(C, H, W)``.

    Raises:
        SettingError: inputs are no images, or have another number of channels.
    """
    if settings.mean is None or settings.std is None:  # one without the other is refused by the settings
        return None
    if len(shape) != 3:
        raise SettingError(
            f"data.mean and data.std are for images of shape (C, H, W), but inputs have the shape {shape}; normalize "
            "them in your own function"
        )
    if len(settings.mean) != shape[0]:
        raise SettingError(
            f"data.mean and data.std have {len(settings.mean)} number{'s' * (len(settings.mean) > 1)}, but the images "
            f"have {shape[0]} channel{'s' * (shape[0] > 1)}: give one number for each"
        )
    return Normalization(tuple(map(float, settings.mean)), tuple(map(float, settings.std)))


def with_given_normalization(data: TaskData, settings: DataSettings) -> TaskData:
    """Return the data with what is given in place of what its source says, if anything is.

    Raises:
        SettingError: it does not fit the inputs.
    """
    given = given_normalization(settings, data.input_shape)
    return data if given is None else replace(data, normalisation=given)
