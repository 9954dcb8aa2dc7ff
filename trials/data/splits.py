"""Seeded, stratified splits, where every class keeps its share in all parts, and the data made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.augmentation import Normalization, given_normalization, usual_augmentation
from trials.data.types import ClassificationData, LabelledTensors
from trials.settings.search import DataSettings
from trials.tasks import Classification, Task

__all__ = [
    "TEST_FRACTION",
    "TEST_SEED",
    "channel_statistics",
    "held_out",
    "held_out_splits",
    "stratified_split",
    "three_parts",
]

TEST_FRACTION = 0.2
TEST_SEED = 0  # the test split never moves, whatever the settings say


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split row numbers in two so that each class gives ``fraction`` of its rows to the second part.

    Args:
        labels: shape ``(N,)``, int64.
        fraction: share of the second part, in (0, 1).
        seed: the same seed gives the same split on every machine.

    Returns:
        ``(kept, held_out)``: disjoint, ascending row numbers that together are ``0..N-1``.

    Raises:
        SettingError: a class has one row only, so it cannot be in both parts.
    """
    generator = torch.Generator().manual_seed(seed)
    held_out: list[Tensor] = []
    for label in torch.unique(labels).tolist():
        rows = (labels == label).nonzero().flatten()
        if len(rows) < 2:
            raise SettingError(f"data: class {label} has {len(rows)} training example; two are needed to hold one out")
        count = min(max(1, round(len(rows) * fraction)), len(rows) - 1)
        held_out.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held_out)] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def held_out(labels: Tensor, fraction: float, seed: int, task: type[Task] = Classification) -> tuple[Tensor, Tensor]:
    """Split row numbers in two, as :func:`stratified_split` does where each row has a class, else at random.

    Raises:
        SettingError: there is one row only, or one of a class.
    """
    if task.is_classification:
        return stratified_split(labels, fraction, seed)
    if len(labels) < 2:
        raise SettingError(f"data: there is {len(labels)} training example; two are needed to hold one out")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    count = min(max(1, round(len(labels) * fraction)), len(labels) - 1)
    return order[count:].sort().values, order[:count].sort().values


def three_parts(
    everything: LabelledTensors, settings: DataSettings
) -> tuple[LabelledTensors, LabelledTensors, LabelledTensors]:
    """Return training, validation and test part: the last is a fifth and fixed, the second as the settings say."""
    rest, test = stratified_split(everything.labels, TEST_FRACTION, TEST_SEED)
    training = everything.select(rest)
    kept, held_out = stratified_split(training.labels, settings.validation_fraction, settings.split_seed)
    return training.select(kept), training.select(held_out), everything.select(test)


def channel_statistics(images: Tensor) -> Normalization:
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
    return Normalization(tuple(mean.tolist()), tuple(deviation.tolist()))


def held_out_splits(
    train: LabelledTensors,
    test: LabelledTensors | None,
    class_names: tuple[str, ...],
    settings: DataSettings,
    validation: LabelledTensors | None = None,
) -> ClassificationData:
    """Hold test and validation images out from ``train`` unless they are given, and add the usual augmentation."""
    if test is None:
        kept, held_out = stratified_split(train.labels, TEST_FRACTION, TEST_SEED)
        train, test = train.select(kept), train.select(held_out)
    if validation is None:
        kept, held_out = stratified_split(train.labels, settings.validation_fraction, settings.split_seed)
        train, validation = train.select(kept), train.select(held_out)
    return ClassificationData(
        train=train,
        validation=validation,
        test=test,
        class_names=class_names,
        normalisation=given_normalization(settings, tuple(train.inputs.shape[1:]))
        or channel_statistics(train.inputs_for_statistics()),
        augmentation=usual_augmentation(settings, padding=4, mirror=True),
    )
