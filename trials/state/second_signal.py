"""The second signal ends a process at once, whatever its main thread does.

Python runs a signal's handler between two of its own steps, and a process that waits for another one in a collective
operation makes none: with that one stopped or gone it would be deaf. So a thread hears of signals as they arrive.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection
from typing import Any

import psutil

__all__ = ["SecondSignal", "quit_now"]

_PATIENCE = 5.0  # seconds that a step may take until it is said that it still runs


class SecondSignal:
    """Counts signals from now on, and quits on the second.

    To be made and ended in the main thread, one at a time.

    Args:
        numbers: of the signals that count; each must have a handler of Python's.
        handled: whether the main thread has come to handle one.
    """

    def __init__(self, numbers: Collection[int], handled: Callable[[], bool]) -> None:
        self._numbers = set(numbers)
        self._handled = handled
        self._reads, self._writes = socket.socketpair()
        self._writes.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writes.fileno(), warn_on_full_buffer=False)
        _counting.append(self)
        threading.Thread(target=self._count, name="second signal", daemon=True).start()

    def end(self) -> None:
        """Count no more."""
        _counting.remove(self)
        signal.set_wakeup_fd(self._before)
        self._writes.close()  # the thread reads the end of it

    def _count(self) -> None:
        came, told = 0, False
        with self._reads:
            while True:
                if came and not told and not select.select([self._reads], [], [], _PATIENCE)[0]:
                    told = True
                    if not self._handled():
                        os.write(2, b"this step does not end yet; once more to quit at once\n")
                received = self._reads.recv(64)
                if not received:
                    return
                for number in received:
                    came += number in self._numbers
                    if came == 2:
                        quit_now(128 + number)


_counting: list[SecondSignal] = []


def _leave_to_the_parent() -> None:
    """In a process that was forked, such as one that prepares batches: its signals are not the parent's."""
    if _counting:
        signal.set_wakeup_fd(-1)
        _counting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def quit_now(code: int, end: Callable[[int], Any] = os._exit) -> None:
    """End this process and all that it started, also those that are stopped, without any further work."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    with contextlib.suppress(Exception):  # the signal may have met a print
        sys.stdout.flush()
    end(code)
