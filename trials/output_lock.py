"""One run writes into an output folder at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from snas_nni.errors import SettingError

try:
    import fcntl
except ImportError:  # Windows: its users are protected by "the folder is not empty" alone
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK_NAME", "locked"]

LOCK_NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock inside a ``with`` block; the system gives it back however the process ends.

    A record lock, which processes that prepare batches do not inherit: a killed run must not seem alive by them.

    Raises:
        SettingError: another process holds it, or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise SettingError(f"output: cannot write into {str(folder)!r}: {error.strerror}") from error
    try:
        if fcntl is not None:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SettingError(
                    f"output: process {_holder(descriptor)} is writing into {str(folder)!r}. Nothing was changed; wait "
                    "for it, or give another folder"
                ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 20, 0).decode("ascii", "replace")
    return text if text.isdecimal() else "of another user"
