"""Seeded, stratified splits, where every class keeps its share in all parts, and the data made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.augmentation import Augmentation, Normalisation
from trials.data.types import ClassificationData, LabelledTensors
from trials.settings.search import DataSettings

__all__ = ["channel_statistics", "held_out_splits", "split_examples", "stratified_split", "three_parts"]

_TEST_FRACTION = 0.2
_TEST_SEED = 0  # the test split never moves, whatever the settings say


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


def three_parts(
    everything: LabelledTensors, settings: DataSettings
) -> tuple[LabelledTensors, LabelledTensors, LabelledTensors]:
    """Return training, validation and test part: the last is a fifth and fixed, the second as the settings say."""
    rest, test = stratified_split(everything.labels, _TEST_FRACTION, _TEST_SEED)
    training = everything.select(rest)
    kept, held_out = stratified_split(training.labels, settings.validation_fraction, settings.split_seed)
    return training.select(kept), training.select(held_out), everything.select(test)


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
    train, validation, test = three_parts(LabelledTensors(inputs, labels.long()), settings)
    return ClassificationData(
        train=train,
        validation=validation,
        test=test,
        class_names=tuple(str(label) for label in range(int(labels.max()) + 1)),
    )


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


def held_out_splits(
    train: LabelledTensors,
    test: LabelledTensors,
    class_names: tuple[str, ...],
    settings: DataSettings,
    validation: LabelledTensors | None = None,
) -> ClassificationData:
    """Hold validation out from ``train`` unless it is given, and add the usual image augmentation."""
    if validation is None:
        kept, held_out = stratified_split(train.labels, settings.validation_fraction, settings.split_seed)
        train, validation = train.select(kept), train.select(held_out)
    return ClassificationData(
        train=train,
        validation=validation,
        test=test,
        class_names=class_names,
        normalisation=channel_statistics(train.inputs_for_statistics()),
        augmentation=Augmentation(
            crop_padding=4 if settings.crop_padding is None else settings.crop_padding,
            horizontal_flip=True if settings.horizontal_flip is None else settings.horizontal_flip,
            cutout=settings.cutout,
        ),
    )
