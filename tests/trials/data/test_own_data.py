"""What a user's own function may return."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from snas_nni.errors import SettingError
from trials.data.own_data import task_data
from trials.data.types import ClassificationData
from trials.settings.run import DataSettings

SETTINGS = DataSettings(source="my_data.load")
INPUTS = np.arange(80, dtype=np.float64).reshape(40, 2)
LABELS = np.arange(40) % 2


class Pairs(Dataset):
    def __init__(self, inputs: np.ndarray, labels: np.ndarray) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return torch.tensor(self.inputs[index], dtype=torch.float32), int(self.labels[index])


def made(found: object, **settings: object) -> ClassificationData:
    return task_data(found, DataSettings(**{"source": "my_data.load", **settings}))


def rows(data: ClassificationData) -> list[float]:
    """The first number of every example, of all splits."""
    return sorted(torch.cat([split.inputs[:, 0] for split in (data.train, data.validation, data.test)]).tolist())


TENSORS = torch.tensor(INPUTS), torch.tensor(LABELS)


@pytest.mark.parametrize(
    "found",
    [TENSORS, (INPUTS, LABELS), [INPUTS, LABELS], (INPUTS, torch.tensor(LABELS)), TensorDataset(*TENSORS),
     Pairs(INPUTS, LABELS), {"train": (INPUTS, LABELS)}],
    ids=["tensors", "arrays", "list", "mixed", "TensorDataset", "Dataset", "dictionary"],
)  # fmt: skip
def test_what_is_not_split_is_held_out(found: object) -> None:
    data = made(found)
    assert (len(data.train), len(data.validation), len(data.test)) == (26, 6, 8)
    assert rows(data) == [2.0 * row for row in range(40)]
    assert data.train.inputs.dtype == torch.float32
    assert data.class_names == ("0", "1")
    assert torch.equal(data.test.labels, data.test.inputs[:, 0].div(2).long() % 2)
    assert torch.equal(data.test.inputs, made((INPUTS, LABELS), split_seed=7).test.inputs)


SECOND = INPUTS[:10] + 1000, LABELS[:10]


@pytest.mark.parametrize(
    "found",
    [((INPUTS, LABELS), SECOND), (Pairs(INPUTS, LABELS), Pairs(*SECOND)), {"train": (INPUTS, LABELS), "test": SECOND}],
    ids=["arrays", "Datasets", "dictionary"],
)
def test_train_and_test(found: object) -> None:
    data = made(found)
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 8, 10)
    assert data.test.inputs[:, 0].tolist() == SECOND[0][:, 0].tolist()


@pytest.mark.parametrize("dictionary", [False, True])
def test_three_splits_stay_as_they_are(dictionary: bool) -> None:
    third = INPUTS[:6] + 2000, LABELS[:6]
    splits = ((INPUTS, LABELS), third, SECOND)
    data = made(dict(zip(("train", "val", "test"), splits, strict=True)) if dictionary else splits)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 6, 10)


def test_labels_may_be_words() -> None:
    data = made((INPUTS, np.array(["dog", "cat"])[LABELS]))
    assert data.class_names == ("cat", "dog")
    assert torch.equal(data.test.labels, 1 - data.test.inputs[:, 0].div(2).long() % 2)


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.uint8, torch.uint8), (np.uint16, torch.int64), (np.int64, torch.int64)]
)
def test_whole_numbers_stay_whole(dtype: type, kept: torch.dtype) -> None:
    assert made((INPUTS.astype(dtype), LABELS)).train.inputs.dtype == kept


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "must return a pair"),
        ((INPUTS,), "a tuple of ndarray"),
        (({"x": 1}, LABELS), "a tuple of dict, ndarray"),
        ((({"x": INPUTS, "y": INPUTS}), LABELS), "dict, ndarray. Join several inputs into one tensor"),
        (((INPUTS, INPUTS), LABELS), "tuple, ndarray. Join several inputs into one tensor"),
        ({"train": ((INPUTS, INPUTS), LABELS)}, "train: inputs: a tuple of ndarray, ndarray.* Join several inputs"),
        (list(zip(INPUTS, INPUTS, LABELS, strict=True)), "a list of tuple, tuple"),
        ((INPUTS, LABELS[:-1]), "40 inputs but 39 labels"),
        ((INPUTS, LABELS / 2), "whole numbers"),
        ((INPUTS, INPUTS), "whole numbers"),
        ((LABELS, LABELS), "at least one more"),
        ((np.array([["a", "b"]] * 40), LABELS), "not of numbers"),
        (((INPUTS, LABELS), (INPUTS[:, :1], LABELS)), "different shapes"),
        ({"train": (INPUTS, LABELS), "holdout": SECOND}, "a dict"),
    ],
)
def test_what_does_not_fit_is_named(found: object, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        made(found)


def test_what_made_the_inputs_is_not_trained() -> None:
    """A second backward pass through the same graph would be the end of the search."""
    inputs = torch.randn(12, 3, requires_grad=True) * 2
    data = made((inputs, torch.arange(12) % 2))
    assert not any(split.inputs.requires_grad for split in (data.train, data.validation, data.test))


def test_images_of_ones_own_can_be_shifted_and_mirrored() -> None:
    images = torch.zeros(40, 3, 8, 8)
    assert made((images, LABELS)).augmentation is None
    found = made((images, LABELS), augmentation="mirror").augmentation
    assert (found.crop_padding, found.horizontal_flip) == (4, True)
    assert "mirrored" in made((images, LABELS), augmentation="mirror").in_words
