"""Plain progress lines: right in a terminal, in a pipe and in a trial's log alike."""

from __future__ import annotations

import sys
import time

from trials.closed_terminal import leave_closed_terminal

__all__ = ["Progress", "readable_duration"]


class Progress:
    """Prints lines to standard output unless it is quiet.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, line: str) -> None:
        """Print one line at once; a pipe would otherwise keep it back until the end."""
        if self.quiet:
            return
        try:
            print(line, file=sys.stdout, flush=True)
        except OSError:
            # A closed terminal ends a search by SIGHUP, which stops it in order, or not at all, after nohup.
            if not leave_closed_terminal():
                raise

    def counter(self, what: str, total: int, every_seconds: float = 2.0) -> Counter:
        """Count to ``total``, with a line at most ``every_seconds`` seconds."""
        return Counter(self, what, total, every_seconds)


class Counter:
    """Says how far a long loop is, and how long it will still take."""

    def __init__(self, progress: Progress, what: str, total: int, every_seconds: float) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self._every = every_seconds
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        left = (now - self._start) / self._done * (self._total - self._done)
        self._progress.say(f"{self._what}: {self._done}/{self._total}, {readable_duration(left)} left")


def readable_duration(seconds: float) -> str:
    """Return ``42s``, ``3m05s`` or ``2h07m`` for a duration in seconds."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    if minutes == 0:
        return f"{rest}s"
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
