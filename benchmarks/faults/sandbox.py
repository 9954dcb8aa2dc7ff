"""What the process does while a hostile file is read: imports, files written, programs started, sockets opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Watch"]

_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "pty.spawn")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
)
_OTHER = ("pickle.find_class", "socket.connect", "socket.bind", "ctypes.dlopen")


class Watch:
    """Python's own audit events, collected while it is on. There is one for the whole process: hooks stay.

    Args:
        allowed: folder that may be written to.
    """

    def __init__(self, allowed: Path) -> None:
        self.allowed = allowed.resolve()
        self.on = False
        self.imported: set[str] = set()
        self.offences: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Collect what happens inside."""
        self.on = True
        try:
            yield
        finally:
            self.on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "import":
            self.imported.add(str(arguments[0]))
        elif event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND) if flags else 0
            if writes or any(letter in str(mode or "") for letter in "wax+"):
                self._check_path(event, path)
        elif event in _CHANGES:
            self._check_path(event, arguments[0])
        elif event == "socket.connect" and str(arguments[1][0]).startswith("192.0.2."):
            return  # NNI asks the system for its own address so; nothing is sent to that address of no machine
        elif event in _PROGRAMS or event in _OTHER:
            self.offences.append(f"{event} {arguments!r:.200}")

    def _check_path(self, event: str, path: Any) -> None:
        if isinstance(path, int) or str(path) == os.devnull:
            return  # an open file, or none
        if event == "os.mkdir" and Path(os.fsdecode(path)).is_dir():
            return  # NNI makes sure of the folder of its own configuration
        if not Path(os.fsdecode(path)).resolve().is_relative_to(self.allowed):
            self.offences.append(f"{event} {os.fsdecode(path)}")
