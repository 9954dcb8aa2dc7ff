"""What becomes of images that are not plain RGB, so that a user is told before the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from trials.data.image_decoding import FORMATS
from trials.data.image_listing import ImageFile

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
            if not file.path.is_file():
                continue  # a pipe has no end
            with Image.open(file.path, formats=FORMATS) as image:
                found["transparent"] += image.has_transparency_data
                found["gray"] += image.mode in _GRAY
                found["deep"] += image.mode in _DEEP
        except Exception:  # damaged files make Pillow raise anything; they are named when they are decoded
            continue
    words = {
        "transparent": "have transparent pixels, which become white",
        "gray": "are gray; they get three equal channels",
        "deep": "have more than 8 bits for a pixel; they are scaled to 8",
    }
    return [f"{found[kind]} of {len(looked_at)} images {text}" for kind, text in words.items() if found[kind]]
