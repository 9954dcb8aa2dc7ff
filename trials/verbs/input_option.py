"""Options that say what one input looks like, for verbs that make one without data."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from exports.example_input import DTYPES, InputExample
from snas_nni.errors import SettingError
from trials.verbs.options import shape_of

__all__ = ["add_input_options", "given_example"]


def add_input_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--input-shape``, ``--input-dtype`` and ``--input-range``, for words that ``with_plain_options`` has seen.

    Args:
        parser: of the verb.
        default: what is taken without them, for the help.
    """
    parser.add_argument(
        "--input-shape", metavar="SHAPE", help=f"of one input, such as 3,32,32 or 3 32 32 (default: {default})"
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
        given["shape"] = shape_of(options.input_shape)
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
