"""What the pixels of an image file mean, in 8-bit RGB: depths, transparency, orientation."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

__all__ = ["eight_bit_rgb"]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def eight_bit_rgb(image: Image.Image) -> Image.Image:
    """Return an opened image as RGB with 8 bits, upright.

    - 12 and 16 bits of gray are scaled to 0..255; Pillow's own conversion would cut them off at 255.
    - Transparent pixels show white, half transparent ones are mixed with it; a color that the file declares
      transparent counts as transparent.
    - CMYK, palettes and single bits are converted as Pillow does it; color profiles are not applied.
    - The image is mirrored and turned as EXIF's orientation says, as viewers show it.

    Args:
        image: opened by Pillow from PNG, JPEG, BMP, WebP, PPM, GIF or TIFF.

    Raises:
        ValueError: the range of its values is not known (floating-point, signed or 32-bit pixels), or Pillow has no
            conversion.
    """
    _scale_transparent_gray(image)
    image.load()
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F") or _sample_format(image) != 1:
        image = _scaled_gray(image)
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    if image.mode in ("La", "RGBa"):  # multiplied by the transparency already
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", rgba.size, "white")
        rgb.paste(rgba, mask=rgba.getchannel("A"))
    else:
        rgb = image.convert("RGB")
    return rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb


def _scaled_gray(image: Image.Image) -> Image.Image:
    # Mode "I" has 32 bits; PNG and PPM use it for 16 in some versions of Pillow.
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not sixteen or _sample_format(image) != 1:
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise ValueError(f"its {kind} pixels have no known range; convert it to 8 or 16 bits without sign")
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image).astype(np.uint32)
    top = 4095 if tags.get(_BITS) == (12,) else 65535
    scaled = ((values * 255 + top // 2) // top).astype(np.uint8)
    gray = Image.fromarray(255 - scaled if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else scaled)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    if image.getexif().get(ExifTags.Base.Orientation):
        gray.getexif()[ExifTags.Base.Orientation] = image.getexif()[ExifTags.Base.Orientation]
    return gray


_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # numbers of TIFF's tags
_WHITE_IS_ZERO = 0


def _sample_format(image: Image.Image) -> int:
    """Return TIFF's kind of numbers, 1 for unsigned integers, which other formats always have."""
    formats = set(getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (1,)))
    return formats.pop() if len(formats) == 1 else 0


def _scale_transparent_gray(image: Image.Image) -> None:
    """Scale the transparent gray of a PNG of 2 or 4 bits as its pixels are scaled, which Pillow forgets."""
    tiles = getattr(image, "tile", ())
    factor = {"L;2": 85, "L;4": 17}.get(str(tiles[0].args if tiles else ""))
    if factor and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= factor
    if isinstance(image.info.get("transparency"), tuple) and max(image.info["transparency"]) > 255:
        raise ValueError("its transparent color has 16 bits, of which Pillow reads 8; convert it to 8 bits")
