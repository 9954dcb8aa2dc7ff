"""Batches whose images and labels are mixed in pairs: mixup and cutmix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

__all__ = ["Mixing"]


class Mixing:
    """Mixup (Zhang et al., ICLR 2018) or cutmix (Yun et al., ICCV 2019); of both, one for each batch by chance.

    Shares are drawn from torch's global generator, which a run seeds before each epoch.

    Args:
        classes: how many there are.
        mixup: alpha of the Beta distribution of the shares; 0 for none.
        cutmix: alpha of that of the areas; 0 for none.
    """

    def __init__(self, classes: int, mixup: float, cutmix: float) -> None:
        self._mixes: list[Any] = []
        if mixup:
            self._mixes.append(v2.MixUp(alpha=mixup, num_classes=classes))
        if cutmix:
            self._mixes.append(v2.CutMix(alpha=cutmix, num_classes=classes))

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed images, shape ``(B, C, H, W)``, and shares of the classes, ``(B, classes)``, of sum 1.

        Args:
            images: of the batch, ``(B, C, H, W)``.
            labels: of the images, ``(B,)``.
        """
        chosen = int(torch.randint(len(self._mixes), ())) if len(self._mixes) > 1 else 0
        mixed: tuple[Tensor, Tensor] = self._mixes[chosen](images, labels)
        return mixed
