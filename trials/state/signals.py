"""Stopping a run on a signal: first at the next step, with a checkpoint; then at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

from trials.closed_terminal import leave_closed_terminal
from trials.state.second_signal import SecondSignal, quit_now

__all__ = ["StoppedError", "Stopping", "ignore_signals"]

_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
_HANGUP = getattr(signal, "SIGHUP", None)


class StoppedError(BaseException):
    """A signal asked the run to stop, and it did; like KeyboardInterrupt, not an Exception.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell expects: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number


class Stopping:
    """Listens for SIGINT, SIGTERM and SIGHUP inside a ``with`` block.

    While training, the first one waits for the step's end; at any other time it raises :class:`StoppedError` at once.
    The second one ends the process without any further work, which is safe: no file is ever half written.

    Args:
        second_quits: whether it does; else it is ignored, so that what has begun to be cleaned up is.

    Attributes:
        requested: number of the signal that came while training; None for none.
    """

    def __init__(self, second_quits: bool = True) -> None:
        self.requested: int | None = None
        self._second_quits = second_quits
        self._training = False
        self._before: dict[int, Any] = {}
        self._second: SecondSignal | None = None

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():  # others cannot have handlers
            self._before = _handlers(_SIGNALS)
            if self._second_quits:
                self._second = SecondSignal(self._before, lambda: self.requested is not None)
            self._listen()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._second is not None:
            self._second.end()
            self._second = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def training(self, begins: bool) -> None:
        """Say that training begins or ends; its beginning takes the signals back from Lightning."""
        self._training = begins
        if begins and self._before:
            self._listen()

    def raise_if_requested(self) -> None:
        """Stop here, if it was asked for.

        Raises:
            StoppedError: it was.
        """
        if self.requested is not None:
            raise StoppedError(self.requested)

    def _listen(self) -> None:
        for number in self._before:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        leave_closed_terminal()
        if self.requested is not None:
            if self._second_quits:
                quit_now(128 + number)
            return
        self.requested = number
        if not self._training:
            raise StoppedError(number)
        # os.write, because print in a signal handler may meet a print that it interrupted.
        os.write(2, b"stopping after this step, with a checkpoint; once more to quit at once\n")


def _handlers(numbers: Iterable[int]) -> dict[int, Any]:
    """Return the handlers of signals; SIGHUP is left out where it is ignored, as nohup asks for."""
    # A handler that Python did not install reads as None; the default is the best that can be put back.
    found = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    return {number: handler for number, handler in found.items() if (number, handler) != (_HANGUP, signal.SIG_IGN)}


def ignore_signals() -> None:
    """Let a clean-up run to its end: from now on, until the end of :class:`Stopping`, a signal does nothing."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
