"""Whether the training loader keeps up with the fastest step of a search."""

from __future__ import annotations

import time
from typing import Any

import torch

from trials.data.augmentation import Augmentation, Normalization
from trials.data.loaders import training_loader
from trials.data.types import ClassificationData, LabelledTensors

__all__ = ["loading"]


def loading(job: dict[str, Any]) -> dict[str, Any]:
    """Time batches of augmented images (random crop, mirrored, cutout) prepared in the training process itself.

    Nothing runs beside it, so this is what a step waits for its batch at most.

    Args:
        job: ``batch`` images of 3x32x32, ``batches`` of them.

    Returns:
        ``steps``: seconds for each batch, as one epoch; the first is warm-up.
    """
    count = job["batch"] * job["batches"]
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = LabelledTensors(images, torch.arange(count) % 10)
    data = ClassificationData(
        train=split,
        validation=split,
        test=split,
        class_names=tuple("0123456789"),
        normalisation=Normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        augmentation=Augmentation(crop_padding=4, horizontal_flip=True, cutout=16),
    )
    seconds = []
    start = time.perf_counter()
    for _ in training_loader(data, job["batch"], seed=0):
        now = time.perf_counter()
        seconds.append(now - start)
        start = now
    return {"steps": [seconds], "memory_mib": 0.0}
