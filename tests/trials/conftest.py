"""Real processes that tests may kill, fill the disk of, or send signals to."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

PATIENCE = 180.0  # seconds; a busy machine takes long


_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["trials.runs.search", "trials.runs.retrain", "trials.state.nni_trial"])


def _run(
    streams: Sequence[Path], words: list[str], before: bytes, surroundings: tuple[dict[str, str], str, int]
) -> None:
    environment, folder, threads = surroundings
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(threads)
    multiprocessing.set_start_method("fork", force=True)  # for loader workers, as where a user starts it
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    multiprocessing.current_process().daemon = False  # a daemon may have no loader workers
    from trials.cli import main

    prepare = cloudpickle.loads(before)
    if prepare is not None:
        prepare()
    code = main(words)
    sys.stdout.flush()
    os._exit(code)


class Verb:
    """``snas-nni`` in a process of its own, forked from one that has everything imported.

    Not from this one: after a backward pass PyTorch refuses to run another in a forked process.
    """

    def __init__(self, folder: Path, words: Sequence[str], before: Callable[[], Any] | None) -> None:
        self._streams = folder / "stdout", folder / "stderr"
        for path in self._streams:
            path.touch()
        surroundings = dict(os.environ), os.getcwd(), torch.get_num_threads()
        arguments = (self._streams, [str(word) for word in words], cloudpickle.dumps(before), surroundings)
        self.process = _server.Process(target=_run, args=arguments)
        self.process.start()
        self.pid = self.process.pid

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
