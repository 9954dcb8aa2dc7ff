"""ImageNet's augmentation: random crops at random scales, changed colours, and a central crop for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms import v2

from snas_nni.errors import SettingError
from trials.augmentation import Augmentation, Normalisation
from trials.data import ClassificationData
from trials.retrain_settings import AugmentationSettings

__all__ = ["CentralCrop", "ResizedCrop", "with_augmentation"]


@dataclass(frozen=True)
class CentralCrop(Normalisation):
    """Normalisation of the middle of each image.

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

    def before_normalisation(self, images: Tensor, generator: torch.Generator) -> Tensor:
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
        return super().before_normalisation(images, generator)


def with_augmentation(data: ClassificationData, settings: AugmentationSettings) -> ClassificationData:
    """Return the data with the augmentation that the settings add.

    Raises:
        SettingError: the data are not images, have no augmentation of their own, or are smaller than the crop.
    """
    side = settings.random_resized_crop
    if side is None and not any(settings.colour_jitter):
        return data
    if len(data.input_shape) != 3 or data.augmentation is None or data.normalisation is None:
        raise SettingError("augmentation: the data source gives no images that could be cropped and coloured")
    augmentation = ResizedCrop(**vars(data.augmentation), side=side, colour_jitter=settings.colour_jitter)
    if side is None:
        return replace(data, augmentation=augmentation)
    if min(data.input_shape[1:]) < side:
        raise SettingError(
            f"augmentation.random_resized_crop is {side}, but images are {data.input_shape[1]} x "
            f"{data.input_shape[2]} pixels; give a larger data.image_size"
        )
    return replace(data, augmentation=augmentation, normalisation=CentralCrop(**vars(data.normalisation), side=side))
