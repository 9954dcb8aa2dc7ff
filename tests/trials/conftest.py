"""Real processes that tests may kill, fill the disk of, or send signals to."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # benchmarks/ is no part of the installed packages

PATIENCE = 180.0  # seconds; a busy machine takes long


class Verb:
    """``snas-nni`` in a process of its own, forked so that it need not import everything again."""

    def __init__(self, folder: Path, words: Sequence[str], before: Callable[[], Any] | None) -> None:
        self._streams = folder / "stdout", folder / "stderr"
        for path in self._streams:
            path.touch()
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=self._run, args=([str(word) for word in words], before))
        self.process.start()
        self.pid = self.process.pid

    def _run(self, words: list[str], before: Callable[[], Any] | None) -> None:
        for number, path in enumerate(self._streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
        multiprocessing.current_process().daemon = False  # a daemon may have no loader workers
        from trials.cli import main

        if before is not None:
            before()
        code = main(words)
        sys.stdout.flush()
        os._exit(code)

    @property
    def output(self) -> str:
        return self._streams[0].read_text()

    @property
    def errors(self) -> str:
        return self._streams[1].read_text()

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Wait until ``what`` is true, while the process runs; return what it gave."""
        deadline = time.monotonic() + PATIENCE
        while not (found := what()):
            assert self.process.is_alive(), f"ended with {self.process.exitcode}:\n{self.output}{self.errors}"
            assert time.monotonic() < deadline, "took too long"
            time.sleep(0.005)
        return found

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"still runs:\n{self.output}{self.errors}"
        return self.process.exitcode


@pytest.fixture
def verb(tmp_path: Path) -> Iterator[Callable[..., Verb]]:
    """Start a verb: ``verb("search", "--output", folder, before=function)``."""
    started: list[Verb] = []

    def start(*words: object, before: Callable[[], Any] | None = None) -> Verb:
        folder = tmp_path / f"process-{len(started)}"
        folder.mkdir()
        started.append(Verb(folder, [str(word) for word in words], before))
        return started[-1]

    yield start
    for each in started:
        with suppress(ValueError):
            each.process.kill()
            each.process.join()
