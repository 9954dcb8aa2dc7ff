"""However ``snas-nni launch`` ends, nothing of the experiment is left: real processes, found by a mark they inherit."""

import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from idle_experiment import EXPERIMENT

pytestmark = pytest.mark.slow

PATIENCE = 120.0
# The trial also starts something in a session of its own, as users' trials do.
COMMAND = "sh -c 'setsid sleep 600 & sleep 600'"


class Launched:
    """A launcher in a home directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, uuid.uuid4().hex
        (folder / "experiment.yml").write_text(EXPERIMENT.replace("sleep 60", COMMAND))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **options) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trials.cli", "launch", "experiment.yml"],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "SNAS_TEST_MARK": self.mark},
            **options,
        )
        return self.process

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("SNAS_TEST_MARK") == self.mark:
                    found.append(process)
        return found

    def names(self) -> list[str]:
        """Their command lines, the launcher's own left out."""
        lines = []
        for process in self.processes():
            with suppress(psutil.Error):
                if self.process is None or process.pid != self.process.pid:
                    lines.append(" ".join(process.cmdline()))
        return sorted(lines)

    def wait_for(self, what: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.names()
            time.sleep(0.1)

    def wait_for_the_trial(self) -> None:
        self.wait_for(lambda: sum(line == "sleep 600" for line in self.names()) >= 2)

    def wait_until_nothing_is_left(self) -> None:
        self.wait_for(lambda: not self.names(), 40)


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    each = Launched(tmp_path)
    yield each
    for process in each.processes():
        with suppress(psutil.Error):
            process.kill()


def test_killed_while_a_trial_runs(launched: Launched) -> None:
    process = launched.start()
    launched.wait_for_the_trial()
    assert any("main.js" in line for line in launched.names())
    assert any("dispatcher" in line or "nni_manager" in line or "-m nni" in line for line in launched.names())
    process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    launched.wait_until_nothing_is_left()


def test_killed_while_the_manager_starts(launched: Launched) -> None:
    process = launched.start()
    launched.wait_for(lambda: any("nnictl" in line for line in launched.names()))
    process.kill()
    process.wait(PATIENCE)
    launched.wait_until_nothing_is_left()


def test_killed_while_it_stops(launched: Launched) -> None:
    process = launched.start()
    launched.wait_for_the_trial()
    process.terminate()
    time.sleep(1.0)
    process.kill()
    process.wait(PATIENCE)
    launched.wait_until_nothing_is_left()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.proof),  # that of a terminal which closes, below
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.proof),  # that of tests/trials/runs/test_end_to_end.py
        (signal.SIGTERM, 143),
    ],
    ids=lambda each: str(each),
)
def test_a_signal_has_its_exit_code(launched: Launched, number: signal.Signals, code: int) -> None:
    process = launched.start(stderr=subprocess.PIPE)
    launched.wait_for_the_trial()
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert b"go on with: snas-nni launch" in errors
    assert launched.names() == []


def test_a_terminal_that_closes(launched: Launched) -> None:
    leader, terminal = pty.openpty()
    process = launched.start(stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, preexec_fn=own)
    os.close(terminal)
    launched.wait_for_the_trial()
    os.close(leader)
    assert process.wait(PATIENCE) == 129
    launched.wait_until_nothing_is_left()


def own() -> None:
    """Make standard input this session's terminal, whose end then sends SIGHUP."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
