"""The images of a comparison: a part of the training split, and the two halves that bi-level methods use."""

from __future__ import annotations

from dataclasses import replace

from snas_nni.errors import SettingError
from trials.bench.settings import NasBench201Settings, RetentionSettings
from trials.data.sources import load_data
from trials.data.splits import stratified_split
from trials.data.types import LabelledTensors, TaskData
from trials.progress import Progress

__all__ = ["halves", "load_part", "smaller"]


def load_part(settings: RetentionSettings | NasBench201Settings, progress: Progress) -> TaskData:
    """Load as many images as a comparison wants.

    Raises:
        SettingError: the data cannot be loaded, or has not so many.
    """
    everything = load_data(settings.data, progress)
    data = smaller(everything, settings.images, settings.held_out_images, settings.data.split_seed)
    progress.say(f"{len(data.train)} training and {len(data.validation)} held-out images of shape {data.input_shape}")
    return data


def smaller(data: TaskData, images: int | None, held_out: int | None, seed: int) -> TaskData:
    """Keep that many training and validation images, every class with its share.

    Args:
        data: the splits.
        images: about how many training images (each class is rounded); None for all.
        held_out: the same of validation images.
        seed: of the choice.

    Raises:
        SettingError: there are not so many.
    """
    return replace(
        data,
        train=_part(data.train, images, "images", seed),
        validation=_part(data.validation, held_out, "held_out_images", seed),
    )


def halves(data: TaskData, seed: int) -> tuple[TaskData, TaskData]:
    """Split the training images in two: one half trains weights, the other logits, as DARTS does."""
    first, second = stratified_split(data.train.labels, 0.5, seed)
    return replace(data, train=data.train.select(first)), replace(data, train=data.train.select(second))


def _part(split: LabelledTensors, count: int | None, key: str, seed: int) -> LabelledTensors:
    if count is None or count == len(split):
        return split
    if count > len(split):
        raise SettingError(f"{key} is {count}, but the split has {len(split)} images; leave it out to take them all")
    _, chosen = stratified_split(split.labels, count / len(split), seed)
    return split.select(chosen)
