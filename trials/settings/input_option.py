"""Options that say what one input looks like, for verbs that make one without data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exports.example_input import DTYPES, InputExample
from snas_nni.errors import SettingError

__all__ = ["add_input_options", "given_example"]


def add_input_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--input-shape``, ``--input-dtype`` and ``--input-range``.

    Args:
        parser: of the verb.
        default: what is taken without them, for the help.
    """
    parser.add_argument(
        "--input-shape", nargs="+", metavar="N", help=f"of one input, such as 3 32 32 or 3,32,32 (default: {default})"
    )
    parser.add_argument("--input-dtype", choices=DTYPES, metavar="TYPE", help="its number type: int64 for tokens")
    parser.add_argument(
        "--input-range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="its smallest and largest value"
    )


def given_example(options: argparse.Namespace, recorded: InputExample | None) -> InputExample | None:
    """Return the input that the options describe; what they leave out is as recorded.

    Raises:
        SettingError: names the option.
    """
    given: dict[str, Any] = {}
    if options.input_shape is not None:
        given["shape"] = _shape(options.input_shape)
    if options.input_dtype is not None:
        given["dtype"] = options.input_dtype
    if options.input_range is not None:
        low, high = options.input_range
        given.update(low=low, high=high)
    try:
        if recorded is not None:
            return replace(recorded, **given)
        return InputExample(**given) if "shape" in given else None
    except SettingError as error:
        raise SettingError(f"--{str(error).replace(' ', '-', 1)}") from None


def _shape(words: Sequence[str]) -> tuple[int, ...]:
    text = " ".join(words)
    try:
        shape = tuple(int(side) for word in words for side in word.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise SettingError(f"--input-shape: {text!r} is not a shape such as 3,32,32")
    return shape
