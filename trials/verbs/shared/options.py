"""Options in one spelling, however a user and a verb spell them. Without torch, for verbs that do without it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exports.example_input import DTYPES, InputExample
from snas_nni.errors import SettingError

__all__ = [
    "add_input_options",
    "architecture_file",
    "given_example",
    "shape_of",
    "with_group_options",
    "with_plain_options",
]

_SHAPE = "--input-shape"
_SIDES = re.compile(r"\d+([,x]\d+)*")


def with_group_options(arguments: Sequence[str]) -> list[str]:
    """Spell the space as verbs do whose settings have a group ``space``.

    ``--space CLASS`` becomes ``--space.class_path=CLASS`` and ``--set NAME=VALUE`` ``--space.init_args.NAME=VALUE``.

    Raises:
        SettingError: a value is missing, or is not ``NAME=VALUE``.
    """
    return list(_rewritten(arguments, {"--space": _as_class_path, "--set": _as_argument}))


def with_plain_options(arguments: Sequence[str]) -> list[str]:
    """Spell the space and shapes as verbs do that have plain options.

    ``--space.class_path CLASS`` becomes ``--space=CLASS``, ``--space.init_args.NAME VALUE`` ``--set=NAME=VALUE``, and
    ``--input-shape 3 32 32`` ``--input-shape=3,32,32``.

    Raises:
        SettingError: a value is missing.
    """
    return list(
        _rewritten(
            list(_shapes_joined(arguments)),
            {"--space": _as_space, "--space.class_path": _as_space, "--space.init_args.": _as_set},
        )
    )


def shape_of(text: str) -> tuple[int, ...]:
    """Return the shape that ``3,32,32`` or ``3x32x32`` means.

    Raises:
        SettingError: it is none.
    """
    try:
        shape = tuple(int(side) for side in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise SettingError(f"{_SHAPE}: {text!r} is not a shape such as 3,32,32")
    return shape


def architecture_file(path: Path) -> Path:
    """Return the architecture file that a path means: the file itself, or that of a run's folder."""
    inside = path / "architecture.json"
    return inside if inside.is_file() else path


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


def _as_class_path(option: str, value: str) -> str:
    return f"--space.class_path={_module_of(value)}"


def _as_argument(option: str, value: str) -> str:
    name, separator, rest = value.partition("=")
    if not separator or not name:
        raise SettingError(f"--set: {value!r} must look like name=value")
    return f"--space.init_args.{name}={rest}"


def _as_space(option: str, value: str) -> str:
    return f"--space={_module_of(value)}"


def _module_of(space: str) -> str:
    """Return the dotted path of a space that is given by its file, ``runs/x/my_space.py`` or ``my_space.py:MySpace``.

    Whoever names a file has it imported: its folder is looked in after all others.
    """
    name, separator, attribute = space.partition(":")
    if not name.endswith(".py"):
        return space
    file = Path(name).expanduser()
    if not file.is_file():
        raise SettingError(f"--space: there is no file {name!r}")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return f"{file.stem}{'.' if separator else ''}{attribute}"


def _as_set(option: str, value: str) -> str:
    return f"--set={option.removeprefix('--space.init_args.')}={value}"


def _rewritten(arguments: Sequence[str], spellings: Mapping[str, Callable[[str, str], str]]) -> Iterator[str]:
    """Rewrite the options in ``spellings``; a name with a dot at its end stands for all that begin with it."""
    words = iter(arguments)
    for word in words:
        option, separator, value = word.partition("=")
        known = (name for name in spellings if option == name or (name.endswith(".") and option.startswith(name)))
        name = next(known, None)
        if name is None:
            yield word
            continue
        if not separator:
            following = next(words, None)
            if following is None:
                raise SettingError(f"{option}: its value must follow")
            value = following
        yield spellings[name](option, value)


def _shapes_joined(arguments: Sequence[str]) -> Iterator[str]:
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word != _SHAPE:
            yield word
            continue
        sides = [words.pop(0)] if words else []
        while words and sides[0].isdecimal() and _SIDES.fullmatch(words[0]):
            sides.append(words.pop(0))
        yield f"{_SHAPE}={','.join(sides)}"
