"""Plain progress lines: right in a terminal, in a pipe and in a trial's log alike."""

from __future__ import annotations

import sys
import time
from typing import Any

from trials.closed_terminal import leave_closed_terminal

__all__ = ["NotebookProgress", "Progress", "progress_here", "readable_duration"]


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

    def epoch(self, line: str, done: int, total: int) -> None:
        """Say how an epoch ended.

        Args:
            line: what is known of it.
            done: epochs that have ended.
            total: of the run.
        """
        self.say(line)

    def counter(self, what: str, total: int, every_seconds: float = 2.0) -> Counter:
        """Count to ``total``, with a line at most ``every_seconds`` seconds."""
        return Counter(self, what, total, every_seconds)


class NotebookProgress(Progress):
    """As in a terminal, but all epochs share one line, which moves: fifty lines in a notebook hide what follows.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self._bar: Any = None

    def epoch(self, line: str, done: int, total: int) -> None:
        """Move the line; the last epoch's stays."""
        if self.quiet:
            return
        from tqdm import tqdm  # plain text, which every notebook shows, with ipywidgets or without

        if self._bar is None:
            form = "{percentage:3.0f}%|{bar:16}| {desc}"
            self._bar = tqdm(total=total, initial=done - 1, file=sys.stdout, bar_format=form, mininterval=0)
        self._bar.set_description_str(line, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.refresh()
            self._bar.close()
            self._bar = None


def progress_here(quiet: bool = False) -> Progress:
    """Return what suits the place where this program runs: a notebook's kernel or anything else."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return NotebookProgress(quiet) if hasattr(shell, "kernel") else Progress(quiet)


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
