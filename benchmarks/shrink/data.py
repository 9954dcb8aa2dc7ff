"""The images of the comparison: some of a folder, as a data source that ``snas-nni shrink`` takes by its name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from trials.bench.subset import smaller
from trials.data.augmentation import usual_augmentation
from trials.data.sources import load_data
from trials.data.types import TaskData
from trials.progress import Progress
from trials.settings.run import DataSettings

__all__ = ["HELD_OUT", "IMAGES", "SIDE", "images"]

IMAGES = 3_000
HELD_OUT = 1_000
SIDE = 16


@cache
def images(path: str) -> TaskData:
    """Return 3,000 training images, 1,000 held-out ones and all test images of a folder, at 16 x 16 pixels.

    Args:
        path: folder with ``train/CLASS/*`` and ``test/CLASS/*``.
    """
    everything = DataSettings(source="folder", path=path, image_size=SIDE, crop_padding=2)
    data = smaller(load_data(everything, Progress(quiet=True)), IMAGES, HELD_OUT, seed=0)
    # Four pixels, which is usual for images of 32, are a quarter of these.
    return replace(data, augmentation=usual_augmentation(everything, padding=2, mirror=True))
