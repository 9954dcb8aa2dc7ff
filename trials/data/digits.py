"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8 pixels, nothing to download."""

from __future__ import annotations

import torch
from sklearn import datasets

from trials.data.augmentation import usual_augmentation
from trials.data.splits import channel_statistics, three_parts
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress
from trials.settings.search import DataSettings

__all__ = ["load_digits"]


def load_digits(settings: DataSettings, progress: Progress) -> ClassificationData:
    """Load the digits as float images of shape ``(1, 8, 8)`` in ``[0, 1]``.

    The test split (360 images) is fixed; validation is held out from the rest as the settings say.
    No flips: a mirrored digit is another shape. Shifts of one pixel at most, as digits fill the frame.
    """
    bunch = datasets.load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).div_(16).unsqueeze(1)
    everything = LabelledTensors(images, torch.tensor(bunch.target, dtype=torch.int64))
    train, validation, test = three_parts(everything, settings)
    return ClassificationData(
        train=train,
        validation=validation,
        test=test,
        class_names=tuple(str(digit) for digit in range(10)),
        normalisation=channel_statistics(train.inputs),
        augmentation=usual_augmentation(settings, padding=1, mirror=False),
    )
