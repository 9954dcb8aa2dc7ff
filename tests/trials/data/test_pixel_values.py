"""What becomes of each kind of pixel: values worked out by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trials.data.pixel_values import eight_bit_rgb

RAMP = np.array([[0, 257, 20_000, 32_768], [40_000, 51_400, 65_278, 65_535]], np.uint16)
RAMP_8 = np.array([[0, 1, 78, 128], [156, 200, 254, 255]])  # v / 257, rounded


def decoded(image: Image.Image | bytes, kind: str = "PNG", **options) -> np.ndarray:
    """What is read of an image written as a file; shape (H, W, 3)."""
    if not isinstance(image, bytes):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        image = stream.getvalue()
    with Image.open(io.BytesIO(image)) as opened:
        result = eight_bit_rgb(opened)
    assert result.mode == "RGB"
    return np.array(result)


def png(pixels: np.ndarray, bits: int, color: int, transparent: bytes | None = None) -> bytes:
    """A PNG of rows of bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    width = pixels[0].nbytes * 8 // bits // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(pixels), bits, color, 0, 0, 0))]
    if transparent is not None:
        parts.append(chunk(b"tRNS", transparent))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def tiff(pixels: np.ndarray, bits: int, sample_format: int = 1, photometric: int = 1) -> bytes:
    """A little-endian gray TIFF of one strip."""
    tags = [(256, pixels.shape[1]), (257, len(pixels)), (258, bits), (259, 1), (262, photometric)]
    tags += [(273, 8), (277, 1), (278, len(pixels)), (279, pixels.nbytes), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    content = pixels.tobytes()
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_gray_are_scaled(kind: str) -> None:
    assert np.array_equal(decoded(Image.fromarray(RAMP), kind), np.stack([RAMP_8] * 3, -1))


def test_sixteen_bits_of_gray_in_the_other_byte_order() -> None:
    assert np.array_equal(decoded(Image.fromarray(RAMP.astype(">u2")), "TIFF")[..., 0], RAMP_8)


def test_sixteen_bits_of_color_are_scaled() -> None:
    color = np.stack([RAMP, RAMP[::-1], RAMP], -1)
    ours = decoded(png(color.astype(">u2"), 16, 2))
    assert np.array_equal(ours, color >> 8)  # Pillow keeps the upper byte


def test_where_zero_is_white_sixteen_bits_are_turned_over() -> None:
    assert np.array_equal(decoded(tiff(RAMP, 16, photometric=0))[..., 0], 255 - RAMP_8)
    assert np.array_equal(decoded(tiff(RAMP, 16))[..., 0], RAMP_8)


def test_twelve_bits_are_scaled() -> None:
    packed = np.frombuffer(bytes([0xFF, 0xF8, 0x00, 0x00, 0x00, 0x10]), np.uint8)  # 4095, 2048; 0, 16
    head = tiff(packed.reshape(2, 3), 12).replace(
        struct.pack("<HHII", 256, 3, 1, 3), struct.pack("<HHII", 256, 3, 1, 2)
    )
    assert decoded(head)[..., 0].tolist() == [[255, 128], [0, 1]]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (tiff(np.ones((2, 2), np.float32), 32, 3), "floating-point pixels have no known range"),
        (tiff(np.ones((2, 2), np.int32), 32, 2), "signed or 32-bit"),
        (tiff(np.ones((2, 2), np.uint32), 32, 1), "signed or 32-bit"),
        (tiff(np.ones((2, 2), np.int16), 16, 2), "signed or 32-bit"),
        (tiff(np.ones((2, 2), np.int8), 8, 2), "signed or 32-bit"),
        (b"Pf\n2 2\n-1.0\n" + np.ones((2, 2), np.float32).tobytes(), "floating-point"),
    ],
)
def test_values_without_a_known_range_are_refused(content: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        decoded(content)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_pixels_show_white(kind: str) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [100, 0, 200, 51]]], np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    expected = [[[10, 20, 30], [255, 255, 255], [224, 204, 244]]]  # 0.2 of the color, 0.8 of white
    assert decoded(Image.fromarray(pixels), kind, **options).tolist() == expected


def test_transparent_gray_shows_white() -> None:
    pixels = np.array([[[10, 255], [10, 0], [100, 51]]], np.uint8)
    assert decoded(Image.fromarray(pixels, "LA"))[..., 0].tolist() == [[10, 255, 224]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_color_of_a_palette_shows_white(kind: str) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    assert decoded(image, kind, transparency=1).tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    assert decoded(image, kind).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


def test_a_palette_with_degrees_of_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([100, 0, 200, 1, 2, 3])
    image.putdata([0, 1])
    assert decoded(image, transparency=bytes([51, 255])).tolist() == [[[224, 204, 244], [1, 2, 3]]]


def test_a_transparent_gray_of_few_bits_and_of_many() -> None:
    for transparent, expected in enumerate(
        ([255, 85, 170, 255], [0, 255, 170, 255], [0, 85, 255, 255], [0, 85, 170, 255])
    ):
        content = png(np.array([[0b00011011]], np.uint8), 2, 0, struct.pack(">H", transparent))
        assert decoded(content)[0, :, 0].tolist() == expected
    content = png(RAMP.astype(">u2"), 16, 0, struct.pack(">H", 20_000))
    assert decoded(content)[0, :, 0].tolist() == [0, 1, 255, 128]


def test_a_transparent_color_of_sixteen_bits_is_refused() -> None:
    color = np.stack([RAMP] * 3, -1).astype(">u2")
    with pytest.raises(ValueError, match="16 bits"):
        decoded(png(color, 16, 2, struct.pack(">HHH", 20_000, 20_000, 20_000)))


def test_single_bits_are_black_and_white() -> None:
    assert decoded(Image.fromarray(np.array([[True, False]]))).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_ink_on_white(kind: str) -> None:
    image = Image.new("CMYK", (16, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (8, 0, 16, 8))
    ours = decoded(image, kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(ours[0, 0].astype(int) - [255, 255, 255]).max() <= 2
    assert np.abs(ours[0, 15].astype(int) - [0, 255, 255]).max() <= 2


PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
UPRIGHT = {  # what a viewer shows of an image stored as PIXELS
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.T,
    6: np.rot90(PIXELS, -1),
    7: np.rot90(PIXELS, 2).T,
    8: np.rot90(PIXELS),
    9: PIXELS,  # no such orientation
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", list(UPRIGHT))
def test_the_image_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = UPRIGHT[orientation]
    ours = decoded(Image.fromarray(PIXELS).convert("RGB"), kind, exif=exif, **options)
    assert np.array_equal(ours[..., 0], expected)
    if kind != "WEBP":
        deep = Image.fromarray(PIXELS.astype(np.uint16) * 257)
        assert np.array_equal(decoded(deep, kind, exif=exif)[..., 0], expected)


def test_a_photo_is_turned_upright() -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x112] = 6
    ours = decoded(image, "JPEG", exif=exif)
    assert ours.shape == (16, 8, 3)
    assert ours[:8].min() > 240
    assert ours[8:].max() < 15


def test_of_an_animation_the_first_picture_is_read() -> None:
    pictures = [Image.new("RGB", (4, 4), color) for color in ((10, 10, 10), (200, 200, 200))]
    for kind in ("GIF", "PNG", "TIFF"):
        assert decoded(pictures[0], kind, save_all=True, append_images=pictures[1:]).max() == 10
