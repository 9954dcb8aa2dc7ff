"""Batches straight from tensors: one indexing and one augmentation a batch, reproducible by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nni
import torch
from torch import Tensor, distributed
from torch.utils.data import Dataset, Sampler

from exports.example_input import InputExample
from exports.onnx_files.preparation import Preparation
from snas_nni.errors import SettingError
from snas_nni.importing.own_packages import remake
from snas_nni.resumable_loader import ResumableLoader
from trials.data.augmentation import Augmentation, CentralCrop, Normalization
from trials.data.types import LabelledTensors, TaskData

__all__ = [
    "BatchDataset",
    "EpochShuffle",
    "evaluation_loader",
    "held_out_batches",
    "input_example",
    "preparation_of",
    "training_loader",
]

Batch = tuple[Tensor, Tensor]

# NNI's evaluators want their parts traced.
_Loader = nni.trace(ResumableLoader)

_EVALUATION_BATCH = 256  # no gradients are kept, so only speed counts


class BatchDataset(Dataset[Batch]):
    """A split whose whole batches are prepared at once.

    Torch's loader asks a dataset with ``__getitems__`` for a batch of indices instead of one index at a time.

    Args:
        split: the inputs and labels.
        normalisation: applied to every batch; None for none.
        augmentation: applied to every batch; None for none.
        seed: with the epoch and the batch's first index, decides the augmentation. It does not depend on how
            many random numbers were drawn before, so a resumed run sees the same images.
    """

    def __init__(
        self,
        split: LabelledTensors,
        normalisation: Normalization | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.normalisation = normalisation
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str], dict[str, Any]]:
        # A worker that is not forked gets the dataset first of all, and finds our packages by it.
        return remake, (f"{type(self).__module__}.{type(self).__qualname__}",), vars(self)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Batch:
        inputs, labels = self.__getitems__([index])
        return inputs[0], labels[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return ``(inputs, labels)`` of shapes ``(B, *input_shape)`` and ``(B,)``."""
        rows = torch.tensor(indices)
        inputs, labels = self.split.inputs[rows], self.split.labels[rows]
        if self.augmentation is None:
            return (self.normalisation(inputs) if self.normalisation else inputs), labels
        generator = seeded_generator(self.seed, self.epoch, indices[0] + 1)
        inputs = self.augmentation.before_normalization(inputs, generator)
        if self.normalisation is not None:
            inputs = self.normalisation(inputs)
        return self.augmentation.after_normalization(inputs, generator), labels


class EpochShuffle(Sampler[int]):
    """A new order each epoch, decided by seed and epoch alone.

    Lightning calls ``set_epoch`` before each epoch, also after it resumed from a checkpoint. Of several devices
    each takes its own share of the order, of equal size, so Lightning's own distributed sampler is not needed.

    Args:
        dataset: what is shuffled; it is told the epoch too.
        seed: of the orders.
        at_least: how many examples a device needs for one batch.

    Raises:
        SettingError: when its length is asked for, and a device has fewer.
    """

    def __init__(self, dataset: BatchDataset, seed: int, at_least: int = 1) -> None:
        self.dataset = dataset
        self.seed = seed
        self.at_least = at_least

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and augmentation of ``epoch``, counted from 0."""
        self.dataset.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = seeded_generator(self.seed, self.dataset.epoch, 0)
        order = torch.randperm(len(self.dataset), generator=generator).tolist()
        rank, devices = rank_and_devices()
        yield from order[rank : len(self) * devices : devices]

    def __len__(self) -> int:
        devices = rank_and_devices()[1]
        share = len(self.dataset) // devices
        if share < self.at_least:
            raise SettingError(
                f"batch_size is {self.at_least}, but {len(self.dataset)} training examples on {devices} devices are "
                f"{share} for each: no batch at all. Give a smaller one"
            )
        return share


def rank_and_devices() -> tuple[int, int]:
    """Return this process's number among the training processes, counted from 0, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def seeded_generator(*numbers: int) -> torch.Generator:
    """Make a generator from several non-negative numbers; near numbers give unrelated streams."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:  # one round of splitmix64 for each number
        state = (state ^ number) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return torch.Generator().manual_seed(state)


def as_it_is(batch: Batch) -> Batch:
    """Collate nothing: the dataset already returns whole batches."""
    return batch


def training_loader(data: TaskData, batch_size: int, seed: int, workers: int = 0) -> Any:
    """Shuffled, augmented batches of the training split.

    The last, smaller batch of an epoch is dropped (its batch statistics would be the noisiest), unless it is
    the only one.

    Args:
        data: the splits.
        batch_size: at least 1; larger than the split means one batch an epoch.
        seed: of order and augmentation.
        workers: processes that prepare batches; 0 prepares them in this one.
    """
    dataset = BatchDataset(data.train, data.normalisation, data.augmentation, seed)
    return _Loader(
        dataset=dataset,
        batch_size=batch_size,
        sampler=EpochShuffle(dataset, seed, batch_size if len(dataset) > batch_size else 1),
        collate_fn=as_it_is,
        drop_last=len(dataset) > batch_size,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )


def held_out_batches(data: TaskData) -> dict[str, Any]:
    """Return the batches of the two splits that a child is judged on, by the split's name."""
    return {
        name: evaluation_loader(data, split) for name, split in (("validation", data.validation), ("test", data.test))
    }


def evaluation_loader(data: TaskData, split: LabelledTensors, workers: int = 0) -> Any:
    """All of ``split`` in order, normalised, not augmented; with a position, for a search that trains on it too."""
    return _Loader(
        dataset=BatchDataset(split, data.normalisation),
        batch_size=_EVALUATION_BATCH,
        collate_fn=as_it_is,
        num_workers=workers,
        generator=torch.Generator(),  # looking must not change what training draws next
    )


def input_example(data: TaskData) -> InputExample:
    """Describe one prepared input of a network: as the loaders give it, with the range of all that they give.

    Inputs that are normalised on the way are looked at in some batches only, those of the three splits' beginnings.
    """
    splits = (data.train, data.validation, data.test)
    few = [LabelledTensors(split.inputs[:64], split.labels[:64]) for split in splits]
    prepared = [next(iter(evaluation_loader(data, split)))[0] for split in few]
    if data.normalisation is None:
        return InputExample.of(prepared[0], *(split.inputs for split in splits))
    return InputExample.of(*prepared)


def preparation_of(data: TaskData, resized: bool) -> Preparation | None:
    """Describe how an image becomes an input of a network; None where inputs are no images.

    What 8 bits mean follows from the training data: bytes are bytes, numbers from 0 to 1 are bytes divided by 255,
    other numbers from 0 to 255 are bytes as they are; of numbers beyond that nothing is known.

    Args:
        data: the splits.
        resized: whether images of other sizes were scaled to that of the training data.
    """
    if len(data.input_shape) != 3:
        return None
    raw, (_, height, width), normalization = data.train.inputs, data.input_shape, data.normalisation
    if raw[:1].dtype == torch.uint8:
        scale: float | None = 1 / 255 if normalization is not None else 1.0
    else:
        low, high = float(raw.min()), float(raw.max())
        scale = None if low < 0 or not high <= 255 else 1 / 255 if high <= 1 else 1.0
    return Preparation(
        (height, width),
        scale,
        mean=normalization.mean if normalization is not None else (),
        deviation=normalization.deviation if normalization is not None else (),
        resize=resized and height == width,
        crop=normalization.side if isinstance(normalization, CentralCrop) else None,
    )
