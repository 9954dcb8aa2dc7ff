"""What happens to a whole batch of images before the network sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from snas_nni.errors import SettingError
from trials.settings.run import DataSettings

__all__ = [
    "Augmentation",
    "CentralCrop",
    "Normalization",
    "ResizedCrop",
    "augmentation_in_words",
    "cut_out",
    "given_normalization",
    "random_crop",
    "random_flip",
    "usual_augmentation",
]


@dataclass(frozen=True)
class Normalization:
    """Zero mean and unit deviation in each channel.

    Attributes:
        mean: one number a channel, on the ``[0, 1]`` scale for uint8 images.
        deviation: one positive number a channel, on the same scale.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Map ``(N, C, H, W)``, uint8 or float, to float32 of the same shape."""
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        mean = torch.tensor(self.mean, dtype=torch.float32).mul_(scale).view(1, -1, 1, 1)
        deviation = torch.tensor(self.deviation, dtype=torch.float32).mul_(scale).view(1, -1, 1, 1)
        return images.to(torch.float32).sub_(mean).div_(deviation)


def given_normalization(settings: DataSettings, shape: tuple[int, ...]) -> Normalization | None:
    """Return ``data.mean`` and ``data.std`` as what is done to a batch; None where they are not given.

    Args:
        settings: of the data.
        shape: of one input, without the batch: ``(C, H, W)``.

    Raises:
        SettingError: inputs are no images, or have another number of channels.
    """
    if settings.mean is None or settings.std is None:  # one without the other is refused by the settings
        return None
    if len(shape) != 3:
        raise SettingError(
            f"data.mean and data.std are for images of shape (C, H, W), but inputs have the shape {shape}; normalize "
            "them in your own function"
        )
    if len(settings.mean) != shape[0]:
        raise SettingError(
            f"data.mean and data.std have {len(settings.mean)} number{'s' * (len(settings.mean) > 1)}, but the images "
            f"have {shape[0]} channel{'s' * (shape[0] > 1)}: give one number for each"
        )
    return Normalization(tuple(map(float, settings.mean)), tuple(map(float, settings.std)))


@dataclass(frozen=True)
class Augmentation:
    """Random changes that keep the label; each image of a batch draws its own.

    Attributes:
        crop_padding: zeros added on each side before cropping back, in pixels, at least 0.
        horizontal_flip: whether half of the images are mirrored.
        cutout: side of a square set to the mean, in pixels; 0 for none.
    """

    crop_padding: int = 0
    horizontal_flip: bool = False
    cutout: int = 0

    @property
    def in_words(self) -> list[str]:
        """What happens to an image, each change as a participle."""
        changes = []
        if self.crop_padding:
            changes.append(f"shifted by up to {self.crop_padding} pixel{'s' * (self.crop_padding > 1)}")
        if self.horizontal_flip:
            changes.append("mirrored left to right")
        if self.cutout:
            changes.append(f"covered by a square of {self.cutout} pixels")
        return changes

    def before_normalization(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop and mirror ``(N, C, H, W)``; the padding is black, as the images are still raw."""
        if self.crop_padding:
            images = random_crop(images, self.crop_padding, generator)
        if self.horizontal_flip:
            images = random_flip(images, generator)
        return images

    def after_normalization(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Cut a square out of each image of ``(N, C, H, W)``; zero is now the mean colour."""
        return cut_out(images, self.cutout, generator) if self.cutout else images


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``padding`` pixels each way, zeros coming in at the border.

    Args:
        images: shape ``(N, C, H, W)``.
        padding: in pixels, at least 1.
        generator: source of the shifts.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    shifts = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
    rows = shifts[0] + torch.arange(height)
    columns = shifts[1] + torch.arange(width)
    image = torch.arange(count).view(-1, 1, 1, 1)
    channel = torch.arange(channels).view(1, -1, 1, 1)
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of ``(N, C, H, W)`` left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator, dtype=torch.float32) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)


def cut_out(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Zero one square in each image; its centre is anywhere, so part of it may lie outside.

    Args:
        images: shape ``(N, C, H, W)``, normalised.
        side: of the square, in pixels, at least 1.
        generator: source of the centres.
    """
    count, _, height, width = images.shape
    top = torch.randint(0, height, (count, 1), generator=generator) - side // 2
    left = torch.randint(0, width, (count, 1), generator=generator) - side // 2
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)


@dataclass(frozen=True)
class CentralCrop(Normalization):
    """Normalization of the middle of each image.

    Attributes:
        side: of the square in the middle, in pixels; smaller images are left whole.
    """

    side: int = 1

    def __call__(self, images: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to float32 ``(N, C, side, side)``."""
        height, width = images.shape[-2:]
        top, left = max(0, height - self.side) // 2, max(0, width - self.side) // 2
        return super().__call__(images[..., top : top + self.side, left : left + self.side])


@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """Random crop at a random scale and random colours, then what any augmentation does.

    Attributes:
        side: of the crop, scaled back to that many pixels; None for none.
        colour_jitter: largest change of brightness, contrast, saturation and hue, each at least 0.
    """

    side: int | None = None
    colour_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def in_words(self) -> list[str]:
        """What happens to an image, each change as a participle."""
        changes = [] if self.side is None else [f"cropped to {self.side} pixels at any scale"]
        return [*changes, *["recolored"] * any(self.colour_jitter), *super().in_words]

    def before_normalization(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map raw ``(N, C, H, W)`` to ``(N, C, side, side)``."""
        steps: list[torch.nn.Module] = []
        if self.side is not None:
            steps.append(v2.RandomResizedCrop(self.side, antialias=True))
        if any(self.colour_jitter):
            steps.append(v2.ColorJitter(*self.colour_jitter))
        if steps:
            change = torch.nn.Sequential(*steps)
            # torchvision draws from the global generator.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
                images = torch.stack([change(image) for image in images])
        return super().before_normalization(images, generator)


def usual_augmentation(settings: DataSettings, padding: int, mirror: bool) -> Augmentation | None:
    """Return the augmentation of a source's training images; None for none.

    Args:
        settings: of the data; ``augmentation: none`` wins over all others.
        padding: pixels of the usual random shift of the source's images.
        mirror: whether half of them are usually mirrored.
    """
    kind = settings.augmentation
    if kind == "none":
        return None
    if settings.crop_padding is not None:
        padding = settings.crop_padding
    if kind != "auto":
        mirror = kind == "mirror"
    elif settings.horizontal_flip is not None:
        mirror = settings.horizontal_flip
    return Augmentation(crop_padding=padding, horizontal_flip=mirror, cutout=settings.cutout)


def augmentation_in_words(augmentation: Augmentation | None) -> str:
    """Say what happens to training images; the other splits are never changed."""
    changes = augmentation.in_words if augmentation is not None else []
    if not changes:
        return "training inputs are not changed (data.augmentation)"
    last = f" and {changes[-1]}" if len(changes) > 1 else changes[0]
    return f"training images are {', '.join(changes[:-1])}{last} at random (data.augmentation: none for none of it)"
