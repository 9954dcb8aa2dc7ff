"""ImageNet's augmentation: sizes, ranges, and the same changes whenever the generator is the same."""

import pytest
import torch

from snas_nni.errors import SettingError
from trials.augmentation import Augmentation, Normalisation
from trials.data import ClassificationData, LabelledTensors
from trials.resized_crop import CentralCrop, ResizedCrop, with_augmentation
from trials.retrain_settings import AugmentationSettings

IMAGES = torch.randint(0, 256, (6, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def photos(images: torch.Tensor = IMAGES, **changes) -> ClassificationData:
    split = LabelledTensors(images, torch.arange(len(images)) % 2)
    base = {"normalisation": Normalisation((0.5,) * 3, (0.25,) * 3), "augmentation": Augmentation()}
    return ClassificationData(split, split, split, ("cat", "dog"), **{**base, **changes})


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_central_crop_keeps_the_middle() -> None:
    crop = CentralCrop((0.0,) * 3, (1.0,) * 3, side=4)
    expected = IMAGES[..., 8:12, 10:14].float() / 255
    torch.testing.assert_close(crop(IMAGES), expected)
    small = IMAGES[..., :3, :3]
    assert crop(small).shape == (6, 3, 3, 3)


def test_crops_have_their_size_and_repeat() -> None:
    change = ResizedCrop(side=16, colour_jitter=(0.4, 0.4, 0.4, 0.2), horizontal_flip=True)
    state = torch.get_rng_state()
    first = change.before_normalisation(IMAGES, generator())
    assert first.shape == (6, 3, 16, 16)
    assert first.dtype == torch.uint8
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(change.before_normalisation(IMAGES, generator()), first)
    assert not torch.equal(change.before_normalisation(IMAGES, generator(2)), first)


def test_each_image_draws_its_own() -> None:
    same = IMAGES[:1].expand(4, -1, -1, -1)
    changed = ResizedCrop(side=8).before_normalisation(same, generator())
    assert not torch.equal(changed[0], changed[1])


def test_settings_that_add_nothing_change_nothing() -> None:
    data = photos()
    assert with_augmentation(data, AugmentationSettings()) is data


def test_splits_get_their_crops() -> None:
    data = with_augmentation(photos(), AugmentationSettings(random_resized_crop=12))
    assert data.normalisation == CentralCrop((0.5,) * 3, (0.25,) * 3, side=12)
    assert data.augmentation.side == 12
    coloured = with_augmentation(photos(), AugmentationSettings(colour_jitter=(0.1, 0, 0, 0)))
    assert coloured.normalisation == photos().normalisation


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (photos(), r"random_resized_crop is 21, but images are 20 x 24"),
        (photos(augmentation=None), "no images"),
        (photos(torch.zeros(4, 7), normalisation=None), "no images"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: ClassificationData, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        with_augmentation(data, AugmentationSettings(random_resized_crop=21))
