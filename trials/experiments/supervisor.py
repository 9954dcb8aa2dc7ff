"""Runs ``nnictl create`` and stays: when the launcher is gone, however it ended, so is all that NNI started.

A program of its own, started by its path. It reads from the launcher through a pipe, whose end the system closes with
the launcher, also after SIGKILL. On Linux, processes whose parent ended become its children, so that none is missed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import threading

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_STOP_SECONDS = 10.0  # NNI's manager gives its trials five
_TERMINATE_SECONDS = 3.0


def main(command: list[str]) -> int:
    """Run ``command``, write ``{"code": ..., "output": ...}`` to standard output, wait for the end of standard input.

    Returns:
        0.
    """
    with contextlib.suppress(OSError, AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    watching = threading.Thread(target=_end_with_the_launcher)
    watching.start()
    started = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output, _ = started.communicate()
    with contextlib.suppress(OSError):
        print(json.dumps({"code": started.returncode, "output": output}), flush=True)
    while watching.is_alive():
        watching.join(0.2)
        _reap()
    return 0


def _reap() -> None:
    """Let those go that have ended: nnictl waits for a manager until its process id is gone."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_with_the_launcher() -> None:
    while os.read(0, 4096):
        pass
    try:
        end_all()
    finally:
        os._exit(0)


def end_all() -> None:
    """Ask NNI's manager to end, then everything that is left, then do not ask any more."""
    own = psutil.Process()
    # The manager is a child of this process by now. It notes in its database that it was stopped, and ends its trials.
    _signal(own.children(), "terminate")
    psutil.wait_procs(own.children(recursive=True), timeout=_STOP_SECONDS)
    left = offspring(own.pid)
    _signal(left, "terminate")
    psutil.wait_procs(left, timeout=_TERMINATE_SECONDS)
    for _ in range(5):  # what is being killed may have started one more
        left = offspring(own.pid)
        _signal(left, "kill")
        psutil.wait_procs(left, timeout=2)


def offspring(supervisor: int) -> list[psutil.Process]:
    """Return all processes below a supervisor, and those of its session, also when it is gone.

    Ids are used again, but a session's not while one of its processes lives.

    Args:
        supervisor: its process id, which is that of its session.
    """
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        found = {process.pid: process for process in psutil.Process(supervisor).children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if process.pid != supervisor and os.getsid(process.pid) == supervisor:
                found[process.pid] = process
    return [process for process in found.values() if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal(processes: list[psutil.Process], action: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            getattr(process, action)()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
