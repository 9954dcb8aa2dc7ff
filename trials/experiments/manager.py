"""NNI's manager process: started, asked over REST, and always stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from snas_nni.errors import SettingError, SnasError
from trials.experiments.experiment_file import ExperimentFile
from trials.experiments.node_options import node_options
from trials.experiments.supervisor import offspring
from trials.state.signals import ignore_signals

__all__ = ["Manager", "ManagerGoneError", "free_port", "running_manager"]

_CREATE_SECONDS = 90.0
_REQUEST_SECONDS = 5.0
_STOP_SECONDS = 30.0
_END_SECONDS = 40.0
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class ManagerGoneError(SnasError):
    """The manager does not answer any more."""


class Manager:
    """A running manager.

    Args:
        port: of its REST service on this machine.
        supervisor: the process below which it runs.
    """

    def __init__(self, port: int, supervisor: subprocess.Popen[str]) -> None:
        self.port = port
        self._supervisor = supervisor
        self.id: str = self.get("experiment")["id"]

    def get(self, path: str, patience: float = 15.0) -> Any:
        """Ask the REST service.

        Args:
            path: below ``/api/v1/nni/``.
            patience: for how many seconds failures are retried.

        Raises:
            ManagerGoneError: no answer in that time.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}/api/v1/nni/{path}"
                with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as response:
                    return json.load(response)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise ManagerGoneError(f"NNI's manager does not answer at {url}: {error}") from error
                time.sleep(0.5)

    def stop(self) -> None:
        """Stop the experiment, its trials included, and wait until its processes are gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                nnictl("stop", self.id),
                env=environment(local=True),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_STOP_SECONDS,
                start_new_session=True,
                check=False,
            )
        _end(self._supervisor)


@contextlib.contextmanager
def running_manager(
    file: ExperimentFile, port: int | None, everywhere: bool, resume: str | None = None
) -> Iterator[Manager]:
    """Start the manager for an experiment; it is stopped on the way out, whatever happened inside.

    Use it inside :class:`~trials.state.signals.Stopping`: signals are ignored while it stops.

    Args:
        file: the experiment.
        port: of the REST service and web page; None for a free one.
        everywhere: let other machines reach it.
        resume: id of a stopped experiment to go on with, in place of a new one.

    Raises:
        SettingError: the port is in use.
        SnasError: it did not start; the message has NNI's reason.
    """
    if port is None:
        port = free_port()
    else:
        refuse_used_port(port)
    words = ["create", "--config", str(file.path)] if resume is None else ["resume", resume]
    supervisor = subprocess.Popen(
        [sys.executable, str(_SUPERVISOR), *nnictl(*words, "--port", str(port))],
        env=environment(local=not everywhere),
        stdin=subprocess.PIPE,  # its end tells that this process is gone
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C must reach this process only, which then stops things in order
    )
    manager: Manager | None = None
    try:
        answer = _answer(supervisor)
        if answer is None:
            raise SnasError(f"nnictl {words[0]} did not finish in {_CREATE_SECONDS:.0f} s")
        if answer["code"] != 0:
            raise SnasError(f"nnictl {words[0]} failed:\n{last_lines(answer['output'])}")
        manager = Manager(port, supervisor)
        yield manager
    finally:
        ignore_signals()  # a second Ctrl-C must not leave trials behind
        if manager is not None:
            manager.stop()
        else:
            _end(supervisor)


def _answer(supervisor: subprocess.Popen[str]) -> dict[str, Any] | None:
    """Wait for what became of nnictl; None if it takes too long."""
    lines: list[str] = []
    assert supervisor.stdout is not None
    reading = threading.Thread(target=lambda stream: lines.append(stream.readline()), args=[supervisor.stdout])
    reading.daemon = True
    reading.start()
    reading.join(_CREATE_SECONDS)
    if not lines:
        return None
    if not lines[0]:
        return {"code": 1, "output": "the process that runs it was ended from outside"}
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


def _end(supervisor: subprocess.Popen[str]) -> None:
    """End a supervisor, which ends all that runs below it."""
    assert supervisor.stdin is not None
    with contextlib.suppress(OSError):
        supervisor.stdin.close()
    try:
        supervisor.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    for process in offspring(supervisor.pid):  # it was killed itself
        with contextlib.suppress(psutil.Error):
            process.kill()


def nnictl(*arguments: str) -> list[str]:
    """Return the command line of this environment's nnictl."""
    return [sys.executable, "-m", "nni.tools.nnictl.nnictl", *arguments]


def environment(local: bool) -> dict[str, str]:
    """Return the environment for nnictl: this interpreter's commands first, so that trials find them.

    Args:
        local: keep the manager's port on 127.0.0.1. Requests of foreign web pages are refused in any case.
    """
    variables = dict(os.environ)
    folder = str(Path(sys.executable).parent)
    variables["PATH"] = os.pathsep.join([folder, *filter(None, [variables.get("PATH")])])
    variables["NODE_OPTIONS"] = node_options(variables.get("NODE_OPTIONS", ""), everywhere=not local)
    return variables


def free_port() -> int:
    """Return a TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refuse_used_port(port: int) -> None:
    """Check a port before anything is started on it.

    Raises:
        SettingError: it is no port, or something listens on it.
    """
    if not 0 < port < 2**16:
        raise SettingError(f"--port {port}: ports are from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingError(
                f"--port {port}: cannot listen on it: {error.strerror}. Give another one, or none to get a free one"
            ) from error


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines that have something on them."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
