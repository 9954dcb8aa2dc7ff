"""What becomes of images that are not plain RGB, so that a user is told before the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from trials.data.image_files import UNREADABLE, ImageFile

__all__ = ["conversions_in_words"]

_LOOKED_AT = 200
_GRAY, _DEEP = ("1", "L", "LA"), ("I", "I;16", "I;16B", "I;16L", "F")


def conversions_in_words(files: Sequence[ImageFile]) -> list[str]:
    """Say what the conversion to RGB does to images of other kinds; nothing if there are none.

    Args:
        files: the images; the headers of at most 200 of them, spread evenly, are read.
    """
    step = max(1, len(files) // _LOOKED_AT)
    looked_at = files[::step]
    found: Counter[str] = Counter()
    for file in looked_at:
        try:
            with Image.open(file.path) as image:
                found["transparent"] += image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
                found["gray"] += image.mode in _GRAY
                found["deep"] += image.mode in _DEEP
        except UNREADABLE:
            continue  # told when it is decoded
    words = {
        "transparent": "have transparency, which is dropped: the colors under it show",
        "gray": "are gray; they get three equal channels",
        "deep": "have more than 8 bits for a pixel, of which values above 255 are cut off: convert them first",
    }
    return [f"{found[kind]} of {len(looked_at)} images {text}" for kind, text in words.items() if found[kind]]
