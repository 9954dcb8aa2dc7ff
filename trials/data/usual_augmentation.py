"""Which random changes training images get: the usual ones of their source, or what the settings say."""

from __future__ import annotations

from trials.data.augmentation import Augmentation
from trials.settings.run import DataSettings

__all__ = ["augmentation_in_words", "usual_augmentation"]


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
