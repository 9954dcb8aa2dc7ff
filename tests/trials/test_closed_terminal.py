"""A search whose terminal is closed: stopped in order by SIGHUP, or going on where that is ignored."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from trials.closed_terminal import leave_closed_terminal

SEARCH = ["--space.init_args.channels=2", "--space.init_args.cells=1", "--space.init_args.nodes=1"]
SEARCH += ["--accelerator=cpu", "--search.batch_size=256"]


def in_a_terminal_that_closes(folder: Path, epochs: int, ignoring: bool) -> int:
    """Start a search in a terminal of its own, close it after some epochs, and return the exit code."""

    def own() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignoring else signal.SIG_DFL)

    leader, terminal = pty.openpty()
    words = ["search", f"--search.epochs={epochs}", f"--output={folder / 'output'}", *SEARCH]
    process = subprocess.Popen(
        [sys.executable, "-m", "trials.cli", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=own,
    )
    os.close(terminal)
    try:
        seen = b""
        while seen.count(b"temperature") < 2:
            seen += os.read(leader, 4096)
        os.close(leader)
        return process.wait(300)
    finally:
        process.kill()


@pytest.mark.slow
def test_a_search_stops_with_a_checkpoint(tmp_path: Path) -> None:
    assert in_a_terminal_that_closes(tmp_path, 1000, ignoring=False) == 129
    assert list((tmp_path / "output" / "checkpoints").glob("*.ckpt"))


@pytest.mark.slow
def test_a_search_goes_on_after_nohup(tmp_path: Path) -> None:
    assert in_a_terminal_that_closes(tmp_path, 30, ignoring=True) == 0
    assert (tmp_path / "output" / "architecture.json").is_file()


def test_output_to_files_stays(capfd: pytest.CaptureFixture[str]) -> None:
    assert not leave_closed_terminal()
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"
