"""Signals as exceptions, so that whatever was started is stopped on the way out."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["TerminatedError", "ignore_signals", "signals_as_exceptions"]

_TERMINATING = (signal.SIGTERM, signal.SIGHUP)


class TerminatedError(BaseException):
    """SIGTERM or SIGHUP came; like KeyboardInterrupt, not an Exception."""


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise :class:`TerminatedError` inside on SIGTERM and SIGHUP; SIGINT raises KeyboardInterrupt as ever."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise TerminatedError

    # A handler that Python did not install reads as None; the default is the best that can be put back.
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in (*_TERMINATING, signal.SIGINT)}
    for number in _TERMINATING:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Let a clean-up run to its end: from now on, a second Ctrl-C does nothing.

    The end of :func:`signals_as_exceptions` takes it back.
    """
    for number in (*_TERMINATING, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
