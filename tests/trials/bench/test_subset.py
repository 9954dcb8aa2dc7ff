import pytest
import torch

from snas_nni.errors import SettingError
from trials.bench.subset import halves, smaller
from trials.data.types import ClassificationData, LabelledTensors


def make_data() -> ClassificationData:
    def split(count: int) -> LabelledTensors:
        return LabelledTensors(torch.arange(count, dtype=torch.float32).view(count, 1), torch.arange(count) % 2)

    return ClassificationData(split(40), split(20), split(10), ("a", "b"))


def test_a_part_has_each_class_with_its_share():
    data = smaller(make_data(), 10, 4, seed=0)
    assert torch.bincount(data.train.labels).tolist() == [5, 5]
    assert torch.bincount(data.validation.labels).tolist() == [2, 2]
    assert len(data.test) == 10
    again = smaller(make_data(), 10, 4, seed=0)
    assert torch.equal(again.train.inputs, data.train.inputs)
    whole = smaller(make_data(), None, 20, seed=0)
    assert (len(whole.train), len(whole.validation)) == (40, 20)


def test_more_images_than_there_are_is_an_error():
    with pytest.raises(SettingError, match="images is 41, but the split has 40"):
        smaller(make_data(), 41, None, seed=0)
    with pytest.raises(SettingError, match="held_out_images is 21"):
        smaller(make_data(), None, 21, seed=0)


def test_halves_share_no_image_and_have_all():
    data = make_data()
    first, second = halves(data, seed=3)
    found = torch.cat([first.train.inputs, second.train.inputs]).flatten().sort().values
    assert torch.equal(found, data.train.inputs.flatten())
    assert len(first.train) == len(second.train) == 20
    assert first.validation is data.validation
