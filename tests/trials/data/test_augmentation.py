"""Augmentation changes each image by itself, keeps shapes, and repeats with its seed."""

import pytest
import torch

from snas_nni.errors import SettingError
from trials.data.augmentation import (
    Augmentation,
    CentralCrop,
    Normalization,
    ResizedCrop,
    cut_out,
    random_crop,
    random_flip,
)
from trials.data.sources import with_augmentation
from trials.data.types import ClassificationData, LabelledTensors
from trials.settings.retrain import AugmentationSettings


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 64, side: int = 8) -> torch.Tensor:
    """Equal images whose pixels are all different and positive."""
    image = torch.arange(1, side * side + 1, dtype=torch.float32).view(1, 1, side, side)
    return image.repeat(count, 2, 1, 1)


def test_crop_shifts_each_image_by_its_own_amount() -> None:
    images = numbered()
    cropped = random_crop(images, 2, generator())
    assert cropped.shape == images.shape
    assert torch.equal(cropped[:, 0], cropped[:, 1])
    variants = {tuple(image.flatten().tolist()) for image in cropped[:, 0]}
    assert 10 < len(variants) <= 25
    for image in cropped[:, 0]:  # what is left of the image is the image, moved
        kept = image[image > 0]
        assert len(kept) >= 36
        rows, columns = (image > 0).nonzero()[0].tolist()
        source = int(image[rows, columns]) - 1
        offset = (source // 8 - rows, source % 8 - columns)
        assert max(map(abs, offset)) <= 2


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_the_default_type_changes_nothing(default: torch.dtype) -> None:
    """Lightning sets it within a step of a training in bfloat16, where batches may be asked for too."""
    images = (numbered() * 3).to(torch.uint8)
    normalization = Normalization((0.4914, 0.4822), (0.2470, 0.2435))
    expected = normalization(images), random_flip(images, generator()), random_crop(images, 2, generator())
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(default)
        found = normalization(images), random_flip(images, generator()), random_crop(images, 2, generator())
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(first, second) for first, second in zip(expected, found, strict=True))


def test_flip_mirrors_about_half() -> None:
    images = numbered(400)
    flipped = random_flip(images, generator())
    mirrored = [torch.equal(image, original.flip(-1)) for image, original in zip(flipped, images, strict=True)]
    same = [torch.equal(image, original) for image, original in zip(flipped, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 150 < sum(mirrored) < 250


def test_cutout_zeroes_at_most_a_square_in_all_channels() -> None:
    cut = cut_out(numbered(200), 4, generator())
    holes = (cut == 0).sum(dim=(2, 3))
    assert torch.equal(holes[:, 0], holes[:, 1])
    assert int(holes.max()) == 16
    assert int(holes.min()) >= 4
    assert len(holes[:, 0].unique()) > 1


@pytest.mark.parametrize("change", [Augmentation(crop_padding=2), Augmentation(horizontal_flip=True)])
def test_same_seed_same_images(change: Augmentation) -> None:
    images = numbered()
    first = change.before_normalization(images, generator(5))
    assert torch.equal(first, change.before_normalization(images, generator(5)))
    assert not torch.equal(first, change.before_normalization(images, generator(6)))


def test_no_augmentation_changes_nothing() -> None:
    images = numbered(3)
    nothing = Augmentation()
    assert nothing.before_normalization(images, generator()) is images
    assert nothing.after_normalization(images, generator()) is images


def test_normalisation_of_bytes_and_floats_agree() -> None:
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    normalisation = Normalization((0.1, 0.5, 0.9), (0.2, 0.3, 0.4))
    torch.testing.assert_close(normalisation(images), normalisation(images.float() / 255))


IMAGES = torch.randint(0, 256, (6, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def photos(images: torch.Tensor = IMAGES, **changes) -> ClassificationData:
    split = LabelledTensors(images, torch.arange(len(images)) % 2)
    base = {"normalisation": Normalization((0.5,) * 3, (0.25,) * 3), "augmentation": Augmentation()}
    return ClassificationData(split, split, split, ("cat", "dog"), **{**base, **changes})


def test_central_crop_keeps_the_middle() -> None:
    crop = CentralCrop((0.0,) * 3, (1.0,) * 3, side=4)
    expected = IMAGES[..., 8:12, 10:14].float() / 255
    torch.testing.assert_close(crop(IMAGES), expected)
    small = IMAGES[..., :3, :3]
    assert crop(small).shape == (6, 3, 3, 3)


def test_crops_have_their_size_and_repeat() -> None:
    change = ResizedCrop(side=16, colour_jitter=(0.4, 0.4, 0.4, 0.2), horizontal_flip=True)
    state = torch.get_rng_state()
    first = change.before_normalization(IMAGES, generator(1))
    assert first.shape == (6, 3, 16, 16)
    assert first.dtype == torch.uint8
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(change.before_normalization(IMAGES, generator(1)), first)
    assert not torch.equal(change.before_normalization(IMAGES, generator(2)), first)


def test_each_image_draws_its_own() -> None:
    same = IMAGES[:1].expand(4, -1, -1, -1)
    changed = ResizedCrop(side=8).before_normalization(same, generator(1))
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
