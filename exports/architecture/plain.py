"""Values that JSON can carry without loss, and the conversion of what comes close to them."""

from __future__ import annotations

import math
from typing import Any

from exports.errors import ArchitectureFileError
from snas_nni.files import readable

__all__ = ["as_plain", "inside"]

MAX_DEPTH = 64
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1
PLAIN = "Use text, finite numbers, true/false, null, and lists or text-keyed objects of these"


def inside(key: str, part: str | int) -> str:
    """Return the key path of ``part`` in ``key``: ``inside("cells.normal", 0)`` is ``cells.normal[0]``."""
    if isinstance(part, int):
        return f"{key}[{part}]"
    return f"{key}.{part}" if key else part


def as_plain(value: Any, key: str, remedy: str = PLAIN, depth: int = 0) -> Any:
    """Return a copy of ``value`` made of text, numbers, booleans, ``None``, lists and dictionaries only.

    Tuples become lists; NumPy and torch scalars become Python numbers.

    Args:
        value: the value to convert.
        key: its key path, for messages.
        remedy: what to do when it cannot be converted.
        depth: how many containers are around it already.

    Raises:
        ArchitectureFileError: naming the key path, for NaN and infinity, integers beyond 64 bits, text that
            UTF-8 cannot carry, keys that are not text, nesting deeper than 64, and any other type.
    """
    if depth > MAX_DEPTH:
        # The whole path of a value nested this deeply would be longer than it is useful.
        raise ArchitectureFileError(readable(key), f"is nested deeper than {MAX_DEPTH} levels", remedy)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return plain_text(str(value), key, remedy)
    if isinstance(value, int):
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise ArchitectureFileError(key, "is an integer of more than 64 bits", remedy)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ArchitectureFileError(key, f"is {value}, which is not a finite number", remedy)
        return float(value)
    if isinstance(value, (list, tuple)):
        return [as_plain(item, inside(key, index), remedy, depth + 1) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            plain_name(name, key, remedy): as_plain(item, inside(key, str(name)), remedy, depth + 1)
            for name, item in value.items()
        }
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        number = value.item()
        if isinstance(number, (bool, int, float, str)):
            return as_plain(number, key, remedy, depth)
    raise ArchitectureFileError(key, f"is of type {type(value).__name__}, which JSON cannot carry", remedy)


def plain_text(text: str, key: str, remedy: str) -> str:
    """Return ``text`` if UTF-8 can carry it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ArchitectureFileError(
            readable(key), "holds half of a surrogate pair, which is not valid text", remedy
        ) from None
    return text


def plain_name(name: object, key: str, remedy: str) -> str:
    """Return ``name`` if it can be a key of a JSON object."""
    if not isinstance(name, str):
        raise ArchitectureFileError(key or "(file)", f"has the key {readable(name)}, which is not text", remedy)
    return plain_text(str(name), key or "(file)", remedy)
