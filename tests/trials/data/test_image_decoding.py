"""One image file, however odd or hostile, becomes bounded 8-bit RGB or an error that names it."""

import os
import resource
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snas_nni.errors import SettingError
from trials.data.image_decoding import PixelBudget, decode_image

MANY = 10**8


def png_head(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_resizing_keeps_the_middle(tmp_path: Path) -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image = decode_image(tmp_path / "wide.png", 4, MANY)
    assert torch.equal(image, torch.full((3, 4, 4), 200, dtype=torch.uint8))


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PCX", "TGA", "SGI"])
def test_only_the_formats_of_the_suffixes_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.png"
    Image.new("RGB", (8, 8)).save(path, kind)
    with pytest.raises(SettingError, match=r"other\.png.*cannot identify"):
        decode_image(path, None, MANY)


def test_a_jpeg_under_the_name_of_a_png_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "photo.png", "JPEG")
    assert decode_image(tmp_path / "photo.png", None, MANY).shape == (3, 8, 8)


def test_a_large_image_is_refused_before_its_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_head(13_000, 13_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SettingError, match=r"bomb\.png.*13000 x 13000 pixels are more than data\.max_pixels: 64000000"):
        decode_image(path, None, 64_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the pixels have 660,000


def test_a_line_that_resizing_would_blow_up_is_refused(tmp_path: Path) -> None:
    Image.new("L", (60_000, 1)).save(tmp_path / "line.png")
    assert decode_image(tmp_path / "line.png", None, 60_000).shape == (3, 1, 60_000)
    with pytest.raises(SettingError, match=r"3840000 x 64 pixels \(from 60000 x 1, by data\.image_size\)"):
        decode_image(tmp_path / "line.png", 64, 64_000_000)


def test_a_pipe_a_folder_and_links_to_nothing_are_named_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    reasons = {"pipe": "regular file", "folder": "regular file", "dangling": "No such file", "loop": "levels of symb"}
    for name, reason in reasons.items():
        with pytest.raises(SettingError, match=rf"{name}\.png.*{reason}"):
            decode_image(tmp_path / f"{name}.png", None, MANY)


def test_damaged_files_are_named_whatever_pillow_stumbles_over(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (9, 7, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x112] = 6
    refused = 0
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "PPM", "GIF", "TIFF"):
        path = tmp_path / f"damaged.{kind.lower()}"
        extra = {} if kind in ("PPM", "GIF", "BMP") else {"exif": exif}
        image.convert("RGB" if kind in ("JPEG", "PPM", "BMP") else "RGBA").save(path, kind, **extra)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = content[: generator.integers(1, len(content) + 1)].copy()
            spots = generator.integers(0, len(damaged), 4)
            damaged[spots] = generator.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            refusal = ""
            try:
                assert decode_image(path, 5, 10_000).shape == (3, 5, 5)
            except SettingError as error:
                refusal = str(error)
            assert not refusal or str(path) in refusal
            refused += bool(refusal)
    assert refused > 200


def test_threads_hold_no_more_pixels_than_the_budget() -> None:
    budget, lock, held, most = PixelBudget(10), threading.Lock(), [0], [0]

    def work(pixels: int) -> None:
        for _ in range(50):
            with budget.reserve(pixels):
                with lock:
                    held[0] += pixels
                    most[0] = max(most[0], held[0])
                with lock:
                    held[0] -= pixels

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (1, 3, 4, 6, 9, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert most[0] <= 10


def test_an_image_larger_than_the_budget_is_let_in_alone() -> None:
    with PixelBudget(3).reserve(5):
        pass
