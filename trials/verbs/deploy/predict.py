"""``snas-nni predict``: what a network says of images or of an array, through its ONNX file alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snas_nni.errors import SettingError
from snas_nni.files import readable, reason_of
from trials.settings.run import DataSettings

if TYPE_CHECKING:
    from exports.onnx_files.prediction import Answer, Predictor

__all__ = ["run"]

_SHOWN = 8  # values of an output that is no class


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni predict",
        description="Ask the network of a run about images, or about an array of inputs: class names with their "
        "probabilities, or values. Its ONNX file is all that is read: it says how images are prepared. No code of the "
        "space is needed.",
    )
    parser.add_argument("model", type=Path, help="folder of a run, or an ONNX file that snas-nni wrote")
    parser.add_argument("images", type=Path, nargs="*", metavar="image", help="PNG, JPEG, WebP, TIFF, GIF, BMP or PPM")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="a .npy file: one input or a batch, in place of images"
    )
    parser.add_argument("--prepared", action="store_true", help="the array is normalized already")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="how many classes are shown (3)")
    parser.add_argument(
        "--resize", action="store_true", help="scale images of other sizes: their shorter side, keeping the middle"
    )
    largest = DataSettings().max_pixels
    parser.add_argument(
        "--max-pixels", type=int, default=largest, metavar="N", help=f"of the largest image that is decoded ({largest})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: all classes or values of each input")
    options = parser.parse_args(arguments)
    if bool(options.images) == (options.input is not None):
        raise SettingError("give images, or an array with --input FILE.npy, and one of them")
    if options.top < 1:
        raise SettingError(f"--top: must be at least 1, not {options.top}")

    from exports.onnx_files.prediction import open_predictor

    predictor = open_predictor(options.model)
    if options.json:
        print(json.dumps([_document(name, answer) for name, answer in _answers(predictor, options)], indent=2))
        return 0
    for name, answer in _answers(predictor, options):
        for line in _lines(name, answer, options.top):
            print(line)
    return 0


def _answers(predictor: Predictor, options: argparse.Namespace) -> Iterator[tuple[str, Answer]]:
    if options.input is not None:
        answers = predictor(_array(options.input), options.prepared)
        many = len(answers) > 1
        for number, answer in enumerate(answers):
            yield f"{options.input}[{number}]" if many else str(options.input), answer
        return
    for path in options.images:  # one by one: a folder full of photos need not fit into memory
        (answer,) = predictor(_image(path, predictor, options))
        yield str(path), answer


def _array(path: Path) -> Any:
    """Read an array of numbers; files that would run code are refused.

    Raises:
        SettingError: the file is not there, or holds no array of numbers.
    """
    import numpy as np

    try:
        return np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        wrong = "it is no .npy file of numbers" if isinstance(error, (ValueError, EOFError)) else reason_of(error)
        raise SettingError(f"--input: cannot read {str(path)!r}: {wrong}") from error


def _image(path: Path, predictor: Predictor, options: argparse.Namespace) -> Any:
    """Decode an image as the training data was, in the size, the channels and the layout of the file.

    Raises:
        SettingError: it cannot be read, has another size, or the network takes no images.
    """
    from trials.data.image_decoding import decode_image

    described = predictor.description
    preparation = described.preparation
    if preparation is None:
        raise SettingError(f"{options.model}: takes no images but inputs of {described.example}; give --input FILE.npy")
    height, width = preparation.size
    resized = options.resize or preparation.resize
    if resized and height != width:
        raise SettingError(f"--resize: makes squares, and {options.model} takes {width} x {height} pixels")
    try:
        image = decode_image(path, height if resized else None, options.max_pixels)
    except SettingError as error:
        text = str(error).removeprefix("data: ").replace("data.max_pixels", "--max-pixels")
        raise SettingError(text.replace("by data.image_size", f"to {height} pixels")) from error
    if tuple(image.shape[1:]) != (height, width):
        raise SettingError(
            f"the image {str(path)!r} has {image.shape[2]} x {image.shape[1]} pixels (width x height), "
            f"{options.model} takes {width} x {height}; scale it, or let --resize do it"
        )
    channels = described.example.shape[-1 if described.layout == "NHWC" else 0]
    pixels = _with_channels(image.numpy(), channels, options.model)
    return pixels.transpose(1, 2, 0) if described.layout == "NHWC" else pixels


def _with_channels(image: Any, channels: int, model: Path) -> Any:
    """Return an RGB image, shape ``(3, H, W)``, with as many channels as the network takes; 1 is Pillow's gray."""
    import numpy as np
    from PIL import Image

    if channels == 1:
        return np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]
    if channels == 3:
        return image
    raise SettingError(f"{model}: takes {channels} channels, and images have 1 or 3; give --input FILE.npy")


def _document(name: str, answer: Answer) -> dict[str, Any]:
    if answer.class_names:
        return {"input": name, "classes": dict(answer.top(len(answer.class_names)))}
    return {"input": name, "values": answer.values.tolist()}


def _lines(name: str, answer: Answer, top: int) -> Iterator[str]:
    if not answer.class_names:
        values = answer.values.reshape(-1)
        shown = "  ".join(f"{value:.6g}" for value in values[:_SHOWN].tolist())
        more = f"  ... ({values.size} values; --json has all)" if values.size > _SHOWN else ""
        yield f"{readable(name, 200)}  {shown}{more}"
        return
    best = [(readable(each, 60), f"{100 * share:.1f} %") for each, share in answer.top(top)]
    if len(best) == 1:
        yield f"{readable(name, 200)}  {best[0][0]}  {best[0][1]}"
        return
    yield readable(name, 200)
    width = max(len(each) for each, _ in best)
    for each, share in best:
        yield f"  {each:<{width}}  {share:>7}"
