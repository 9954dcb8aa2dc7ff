"""NNI's manager process: started, asked over REST, and always stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from snas_nni.errors import SettingError, SnasError
from trials.experiments.experiment_file import ExperimentFile
from trials.state.signals import ignore_signals

__all__ = ["Manager", "ManagerGoneError", "free_port", "running_manager"]

_CREATE_SECONDS = 90.0
_REQUEST_SECONDS = 5.0
_STOP_SECONDS = 30.0
_PRELOAD = Path(__file__).with_name("listen_on_loopback.cjs")


class ManagerGoneError(SnasError):
    """The manager does not answer any more."""


class Manager:
    """A running manager.

    Args:
        port: of its REST service on this machine.
        session: process id of the ``nnictl create`` that started it, which is the session of its processes.
    """

    def __init__(self, port: int, session: int) -> None:
        self.port = port
        self._session = session
        self._processes: dict[int, psutil.Process] = {}
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

    def remember_processes(self) -> None:
        """Note the manager's processes while they can be told from others: a dead parent has no children."""
        for process in session_processes(self._session):
            self._processes[process.pid] = process
            with contextlib.suppress(psutil.Error):
                self._processes.update({child.pid: child for child in process.children(recursive=True)})

    def stop(self) -> None:
        """Stop the experiment, its trials included, and wait until its processes are gone."""
        self.remember_processes()
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
        _, alive = psutil.wait_procs(self._processes.values(), timeout=10)
        end(alive)


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
    create = subprocess.Popen(
        nnictl(*words, "--port", str(port)),
        env=environment(local=not everywhere),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C must reach this process only, which then stops things in order
    )
    manager: Manager | None = None
    try:
        try:
            output, _ = create.communicate(timeout=_CREATE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise SnasError(f"nnictl {words[0]} did not finish in {_CREATE_SECONDS:.0f} s") from error
        if create.returncode != 0:
            raise SnasError(f"nnictl {words[0]} failed:\n{last_lines(output)}")
        manager = Manager(port, create.pid)
        yield manager
    finally:
        ignore_signals()  # a second Ctrl-C must not leave trials behind
        if manager is not None:
            manager.stop()
        else:
            end(session_processes(create.pid))
            create.wait(timeout=10)


def nnictl(*arguments: str) -> list[str]:
    """Return the command line of this environment's nnictl."""
    return [sys.executable, "-m", "nni.tools.nnictl.nnictl", *arguments]


def environment(local: bool) -> dict[str, str]:
    """Return the environment for nnictl: this interpreter's commands first, so that trials find them.

    Args:
        local: keep the manager's port on 127.0.0.1.
    """
    variables = dict(os.environ)
    folder = str(Path(sys.executable).parent)
    variables["PATH"] = os.pathsep.join([folder, *filter(None, [variables.get("PATH")])])
    if local:
        preload = str(_PRELOAD).replace("\\", "\\\\").replace('"', '\\"')
        variables["NODE_OPTIONS"] = f'{variables.get("NODE_OPTIONS", "")} --require "{preload}"'.strip()
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


def session_processes(session: int) -> list[psutil.Process]:
    """Return the processes of a session; ids are reused, but not while one of its processes lives."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


def end(processes: list[psutil.Process]) -> None:
    """Terminate processes, and kill those that stay."""
    for action in ("terminate", "kill"):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                getattr(process, action)()
        _, processes = psutil.wait_procs(processes, timeout=5)


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines that have something on them."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
