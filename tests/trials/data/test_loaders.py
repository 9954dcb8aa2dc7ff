"""Loaders give every image once an epoch, in an order that seed and epoch decide."""

import pytest
import torch

from exports.onnx_files.preparation import Preparation
from snas_nni.errors import SettingError
from trials.data.augmentation import Augmentation, CentralCrop, Normalization
from trials.data.loaders import BatchDataset, EpochShuffle, evaluation_loader, preparation_of, training_loader
from trials.data.types import ClassificationData, LabelledTensors


def data(count: int = 70) -> ClassificationData:
    images = torch.arange(count * 16, dtype=torch.float32).view(count, 1, 4, 4) + 1
    split = LabelledTensors(images, torch.arange(count) % 7)
    return ClassificationData(split, split, split, tuple("abcdefg"), augmentation=Augmentation(crop_padding=1))


def epoch_of(loader, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    loader.sampler.set_epoch(epoch)  # Lightning does this before each epoch
    return list(loader)


def test_batches_have_the_asked_size_and_the_rest_is_dropped() -> None:
    batches = epoch_of(training_loader(data(), 32, seed=0), 0)
    assert [len(labels) for _, labels in batches] == [32, 32]


def test_small_split_is_one_batch() -> None:
    batches = epoch_of(training_loader(data(20), 32, seed=0), 0)
    assert [len(labels) for _, labels in batches] == [20]


def test_each_image_comes_once() -> None:
    plain = data()
    plain = ClassificationData(plain.train, plain.validation, plain.test, plain.class_names)
    batches = epoch_of(training_loader(plain, 35, seed=0), 0)
    seen = torch.cat([inputs for inputs, _ in batches])[:, 0, 0, 0].sort().values
    assert torch.equal(seen, plain.train.inputs[:, 0, 0, 0])


def test_epochs_differ_and_repeat_without_their_past() -> None:
    loader = training_loader(data(), 35, seed=0)
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    torch.manual_seed(123)
    fresh = training_loader(data(), 35, seed=0)
    again = epoch_of(fresh, 1)
    assert not torch.equal(first[0][0], second[0][0])
    for (inputs, labels), (same_inputs, same_labels) in zip(second, again, strict=True):
        assert torch.equal(inputs, same_inputs)
        assert torch.equal(labels, same_labels)
    other = epoch_of(training_loader(data(), 35, seed=1), 1)
    assert not torch.equal(other[0][1], again[0][1])


def test_evaluation_is_in_order_and_not_augmented() -> None:
    source = data(300)
    batches = list(evaluation_loader(source, source.test))
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), source.test.inputs)
    assert torch.equal(torch.cat([labels for _, labels in batches]), source.test.labels)


def test_workers_give_the_same_batches() -> None:
    here = epoch_of(training_loader(data(), 35, seed=0), 2)
    there = epoch_of(training_loader(data(), 35, seed=0, workers=1), 2)
    for (inputs, _), (same_inputs, _) in zip(here, there, strict=True):
        assert torch.equal(inputs, same_inputs)


@pytest.mark.parametrize("devices", [2, 3])
def test_devices_share_an_epoch(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = EpochShuffle(BatchDataset(data().train), seed=4)
    whole = list(sampler)
    shares = []
    for rank in range(devices):
        monkeypatch.setattr("trials.data.loaders.rank_and_devices", lambda rank=rank: (rank, devices))
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == len(whole) // devices
    together = [index for share in shares for index in share]
    assert len(set(together)) == len(together)
    assert set(together) <= set(whole)


def test_devices_without_a_whole_batch_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = data()
    loader = training_loader(source, len(source.train) - 1, seed=4)
    assert len(loader) == 1
    monkeypatch.setattr("trials.data.loaders.rank_and_devices", lambda: (0, 2))
    with pytest.raises(SettingError, match=r"batch_size is \d+, but \d+ training examples on 2 devices .* no batch"):
        len(loader)
    assert len(training_loader(source, len(source.train) // 2, seed=4)) == 1


@pytest.mark.parametrize(
    ("low", "high", "dtype", "normalized", "scale"),
    [
        (0, 255, torch.uint8, True, 1 / 255),
        (0, 255, torch.uint8, False, 1.0),
        (0, 1, torch.float32, True, 1 / 255),
        (0, 200, torch.float32, False, 1.0),
        (-1, 1, torch.float32, False, None),
        (0, 1000, torch.float32, True, None),
    ],
)
def test_what_8_bits_mean_follows_from_the_training_data(low, high, dtype, normalized, scale):
    images = torch.full((4, 1, 4, 4), high, dtype=dtype)
    images[0] = low
    split = LabelledTensors(images, torch.arange(4))
    found = ClassificationData(
        split, split, split, tuple("abcd"), Normalization((0.5,), (2.0,)) if normalized else None
    )
    expected = Preparation((4, 4), scale, *(((0.5,), (2.0,)) if normalized else ()))
    assert preparation_of(found, resized=False) == expected


def test_a_middle_that_is_cut_and_inputs_that_are_no_images():
    images = torch.zeros(4, 3, 6, 6, dtype=torch.uint8)
    split = LabelledTensors(images, torch.arange(4))
    crop = CentralCrop((0.0,) * 3, (1.0,) * 3, 4)
    found = preparation_of(ClassificationData(split, split, split, tuple("abcd"), crop), resized=True)
    assert (found.crop, found.resize, found.size) == (4, True, (6, 6))
    table = LabelledTensors(torch.zeros(4, 9), torch.arange(4))
    assert preparation_of(ClassificationData(table, table, table, tuple("abcd")), resized=False) is None
