"""Errors in a user's own code: the line that failed and the shapes that it met, not sixty lines of other people's."""

from __future__ import annotations

import inspect
import linecache
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType

from snas_nni.errors import SnasError
from snas_nni.files import readable

__all__ = ["UserCodeError", "place_of", "user_code_error"]

_OWN = tuple(
    str(Path(__file__).resolve().parents[2] / name) for name in ("snas_nni", "search_spaces", "exports", "trials")
)
_OTHERS = tuple(
    {
        str(Path(path).resolve())
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        for path in [sysconfig.get_path(name)]
    }
)
_MOST_SHAPES = 8


class UserCodeError(SnasError):
    """The user's own code raised an error; the message has the line and the shapes."""


def user_code_error(error: BaseException) -> UserCodeError | None:
    """Return what to tell of an error that a line of the user's own files led to; None if there is no such line.

    Args:
        error: with its traceback.
    """
    found = _innermost(error)
    if found is None:
        return None
    frame, line = found
    path, code = frame.f_code.co_filename, linecache.getline(frame.f_code.co_filename, line).strip()
    name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 has no qualified one
    text = (
        f"{_short(path)}, line {line}, in {name}: {type(error).__name__}: {readable(' '.join(str(error).split()), 600)}"
    )
    if code:
        text += f"\n    {code}"
    shapes = _shapes(frame)
    if shapes:
        text += f"\n    where {', '.join(shapes)}"
    return UserCodeError(text)


def place_of(kind: type) -> str:
    """Return file and line of a class, such as ``my_space.py:12``; its name where it has no file."""
    try:
        path, (_, line) = inspect.getsourcefile(kind), inspect.getsourcelines(kind)
    except (OSError, TypeError):
        path, line = None, 0
    return kind.__qualname__ if path is None else f"{_short(path)}:{line}"


def _innermost(error: BaseException) -> tuple[FrameType, int] | None:
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame.f_code.co_filename):
            found = frame, line
    return found


def _is_users(path: str) -> bool:
    if path.startswith("<") or "site-packages" in path or "dist-packages" in path:
        return False
    resolved = str(Path(path).resolve())
    if resolved == str(Path(sys.argv[0]).resolve()) and Path(sys.argv[0]).stem == "snas-nni":
        return False
    return not any(resolved.startswith(f"{folder}/") or resolved == folder for folder in (*_OWN, *_OTHERS))


def _short(path: str) -> str:
    """The path from the current folder, if it lies in it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def _shapes(frame: FrameType) -> list[str]:
    import torch

    shapes = []
    for name, value in frame.f_locals.items():
        if isinstance(value, torch.Tensor):
            sides = " x ".join(map(str, value.shape)) or "a single number"
            shapes.append(f"{name} is {sides} ({str(value.dtype).removeprefix('torch.')})")
    return shapes[:_MOST_SHAPES]
