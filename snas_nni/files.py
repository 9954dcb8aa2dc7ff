"""Files read within bounds and written whole, JSON read strictly, and texts that are safe to print."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "RepeatedKeyError",
    "half_written",
    "parse_json",
    "read_bounded",
    "readable",
    "reason_of",
    "replacing",
    "write_atomically",
]


def readable(value: object, limit: int = 120) -> str:
    """Return ``value`` as one line of at most ``limit`` characters, for messages.

    Line breaks, terminal control sequences and halves of surrogate pairs are written as escapes: a message about a
    hostile file must not be able to draw on the user's terminal.
    """
    # Long integers are cut before they are written: Python refuses to write more than some thousand digits.
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    text = value if isinstance(value, str) else repr(value)
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isprintable():
        return text
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def reason_of(error: Exception, limit: int = 120) -> str:
    """Return why a file could not be read, for messages: the system's words, or the error's in one line."""
    return getattr(error, "strerror", None) or readable(str(error), limit)


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice.

    Attributes:
        key: as it stands in the file.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {readable(key, 60)} is given twice")
        self.key = key


def parse_json(content: bytes) -> Any:
    """Parse UTF-8 JSON, NaN and Infinity included, without a key given twice: readers differ in which they take.

    Raises:
        RepeatedKeyError: names the key.
        ValueError: bad UTF-8, bad JSON, an integer of thousands of digits.
        RecursionError: it is nested too deeply.
    """
    return json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeated_keys)


def _without_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise RepeatedKeyError(next(name for name, count in counts.items() if count > 1))
    return found


def read_bounded(path: str | Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Pipes and devices are refused before a byte is read: they may have no end, or never answer.

    Args:
        path: the file.
        limit: largest size in bytes.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger. ``strerror`` says which.
        ValueError: the path holds a character that no path can hold.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(0, "it is not a regular file", str(path))
        if state.st_size > limit:
            raise OSError(0, f"it has more than {limit} bytes", str(path))
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)  # it may have grown since, or be one of those that say 0
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(0, f"it has more than {limit} bytes", str(path))
    return content


def half_written(folder: Path) -> list[Path]:
    """Files that :func:`replacing` was writing into a folder, or one right below it, when its process was killed.

    They may be removed by who knows that nobody writes there now.
    """
    return [path for path in (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")) if _TEMPORARY.fullmatch(path.name)]


_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file inside a ``with`` block so that a reader, or a crash, sees the old file or the new one.

    What was written is on the disk before it takes the name. After an error nothing is left behind.

    Args:
        path: in a folder that exists.

    Raises:
        OSError: the file cannot be written; its ``filename`` is ``path``.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # not of the temporary file, or of none
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes) -> None:
    """Put ``content`` at ``path`` whole; see :func:`replacing`.

    Raises:
        OSError: the file cannot be written; its ``filename`` is ``path``.
    """
    with replacing(Path(path)) as stream:
        stream.write(content)
