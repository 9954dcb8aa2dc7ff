"""From an image to what the network takes: scale, mean, deviation, crop; in numpy, and inside an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snas_nni.errors import SettingError
from snas_nni.files import readable

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Layout", "Preparation", "with_preparation"]

Layout = Literal["NCHW", "NHWC"]
MOST_CHANNELS = 4096
MOST_PIXELS = 2**16


@dataclass(frozen=True)
class Preparation:
    """What happens to one image before the network sees it.

    Attributes:
        size: height and width of the image, in pixels.
        scale: what a value of 8 bits is multiplied by, such as 1/255; None if it is not known what 8 bits would be.
            Values of other number types are taken as they are.
        mean: subtracted from each channel after the scaling; empty for nothing.
        deviation: what each channel is divided by after that, each above 0; as many as means.
        resize: whether the shorter side of a larger or smaller image is scaled to ``size`` and its middle kept;
            without it, images have to have that size already.
        crop: side of the square in the middle that the network sees, in pixels; None for the whole image.

    Raises:
        SettingError: names the part that is out of its range.
    """

    size: tuple[int, int]
    scale: float | None = 1 / 255
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    resize: bool = False
    crop: int | None = None

    def __post_init__(self) -> None:
        sides = (*self.size, *([] if self.crop is None else [self.crop]))
        if len(self.size) != 2 or not all(type(side) is int and 1 <= side <= MOST_PIXELS for side in sides):
            raise SettingError(f"preparation: size and crop must be pixels from 1 to {MOST_PIXELS}")
        numbers = (*self.mean, *self.deviation, *([] if self.scale is None else [self.scale]))
        if not all(type(each) in (int, float) and math.isfinite(each) for each in numbers):
            raise SettingError("preparation: scale, mean and deviation must be finite numbers")
        if len(self.mean) != len(self.deviation) or len(self.mean) > MOST_CHANNELS:
            raise SettingError("preparation: there must be a deviation for each mean")
        if min((*self.deviation, 1 if self.scale is None else self.scale)) <= 0:
            raise SettingError("preparation: scale and deviation must be above 0")
        if self.resize and self.size[0] != self.size[1]:
            raise SettingError("preparation: images are resized to squares only")

    def __call__(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what the network takes.

        Args:
            images: shape ``(N, C, H, W)``; uint8, or floats as the training data had them.

        Returns:
            float32, shape ``(N, C, H, W)``, or ``(N, C, crop, crop)``.

        Raises:
            SettingError: 8 bits are given, and it is not known what they mean; or the channels differ in number.
        """
        scale = 1.0
        if images.dtype == np.uint8:
            if self.scale is None:
                raise SettingError(
                    "the training data had numbers that are no pixels of 8 bits, so nothing says how an image becomes "
                    "such numbers; give an array of numbers as in training (--input data.npy)"
                )
            scale = self.scale
        if self.mean and len(self.mean) != images.shape[1]:
            raise SettingError(f"the network takes {len(self.mean)} channels, not {images.shape[1]}")
        top, left, height, width = self._window(*images.shape[2:])
        prepared = images[:, :, top : top + height, left : left + width].astype(np.float32)
        shift, spread = self._constants(scale)
        subtracted, divided = (np.array(each, dtype=np.float32).reshape(1, -1, 1, 1) for each in (shift, spread))
        found: np.ndarray[Any, Any] = (prepared - subtracted) / divided
        return found

    def _constants(self, scale: float) -> tuple[list[float], list[float]]:
        """Return what is subtracted and what is divided by, for values that ``scale`` still has to multiply."""
        mean, deviation = self.mean or (0.0,), self.deviation or (1.0,)
        return [each / scale for each in mean], [each / scale for each in deviation]

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of what the network sees; smaller images are left whole."""
        if self.crop is None:
            return 0, 0, height, width
        top, left = max(0, height - self.crop) // 2, max(0, width - self.crop) // 2
        return top, left, min(height, self.crop), min(width, self.crop)

    def as_document(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {**vars(self), "size": list(self.size), "mean": list(self.mean), "deviation": list(self.deviation)}

    @classmethod
    def from_document(cls, document: object, where: str = "preparation") -> Preparation:
        """Read plain values from a file that may say anything.

        Args:
            document: what :meth:`as_document` returned, or something else.
            where: the file and the key, for messages.

        Raises:
            SettingError: names ``where`` and what is wrong there.
        """
        known = cls.__dataclass_fields__
        if not isinstance(document, Mapping) or not set(document) <= set(known) or "size" not in document:
            raise SettingError(f"{where}: must have {', '.join(known)}, not {readable(document)}")
        lists = {name: document.get(name, ()) for name in ("size", "mean", "deviation")}
        if not all(isinstance(each, (list, tuple)) for each in lists.values()):
            raise SettingError(f"{where}: size, mean and deviation must be lists")
        if type(document.get("resize", False)) is not bool:
            raise SettingError(f"{where}: resize must be true or false")
        try:
            return cls(**{**document, **{name: tuple(each) for name, each in lists.items()}})
        except (SettingError, TypeError, OverflowError) as error:
            raise SettingError(f"{where}: {error}") from None


def with_preparation(model: nn.Module, preparation: Preparation, layout: Layout = "NCHW") -> nn.Module:
    """Return a network that takes uint8 images and prepares them itself.

    Args:
        model: takes ``(N, C, H, W)`` of its weights' number type.
        preparation: with a scale, that is, of images of 8 bits.
        layout: of the images: ``(N, C, H, W)`` or, as image libraries hold them, ``(N, H, W, C)``.

    Raises:
        SettingError: it is not known what 8 bits mean.
    """
    if preparation.scale is None:
        raise SettingError(
            "preprocessing: the training data had numbers that are no pixels of 8 bits, so nothing says how an image "
            "becomes such numbers, and there is nothing to put into the file"
        )
    import torch
    from torch import Tensor, nn

    shift, spread = preparation._constants(preparation.scale)
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)

    class Prepared(nn.Module):
        """Prepares uint8 images for the network inside it."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.shift: Tensor
            self.spread: Tensor
            self.register_buffer("shift", torch.tensor(shift, dtype=dtype).view(1, -1, 1, 1))
            self.register_buffer("spread", torch.tensor(spread, dtype=dtype).view(1, -1, 1, 1))

        def forward(self, images: Tensor) -> Tensor:
            """Map uint8 images in the chosen layout to the network's output."""
            if layout == "NHWC":
                images = images.permute(0, 3, 1, 2)
            if preparation.crop is not None:
                top, left, height, width = preparation._window(images.shape[2], images.shape[3])
                images = images[:, :, top : top + height, left : left + width]
            output: Tensor = self.model((images.to(dtype) - self.shift) / self.spread)
            return output

    return Prepared().eval()
