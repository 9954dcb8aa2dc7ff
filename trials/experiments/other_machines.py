"""The machines that an experiment's trials run on, and what is fetched from them: by ``sftp``, with the file's key.

NNI sends a remote trial its code and hears its metrics, but leaves what the trial wrote where it ran. The search's
child is there, so it is fetched with the same user, port and key with which NNI reached the machine.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from snas_nni.errors import SnasError
from snas_nni.files import readable

__all__ = [
    "RUNNER_OUTPUT",
    "FetchError",
    "RemoteMachine",
    "fetch",
    "machines_of",
    "on_loopback",
    "place_of",
    "trial_lines",
]

RUNNER_OUTPUT = "trialrunner_stdout"  # NNI's name of it

_CONNECT_SECONDS = 15
_FETCH_SECONDS = 600.0
_PLAIN_PATH = re.compile(r"/[\w./@+-]*")


class FetchError(SnasError):
    """Files of another machine could not be fetched; the message says which and why."""


@dataclass(frozen=True)
class RemoteMachine:
    """A machine of an experiment file.

    Attributes:
        host: its name or address.
        port: of its SSH server.
        user: to log in as.
        key: private key file; None where the file gives a password, with which nothing is fetched.
    """

    host: str
    port: int
    user: str
    key: Path | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def machines_of(services: Any) -> tuple[RemoteMachine, ...]:
    """Return the machines of NNI's remote training service, in the order of the file; none for other services.

    Args:
        services: ``training_service`` of a canonical ``ExperimentConfig``, one or a list of several.
    """
    remote = [each for each in (services if isinstance(services, list) else [services]) if each.platform == "remote"]
    return tuple(
        RemoteMachine(
            machine.host, machine.port, machine.user, Path(machine.ssh_key_file) if machine.ssh_key_file else None
        )
        for service in remote
        for machine in service.machine_list
    )


def on_loopback(host: str | None) -> bool:
    """Return whether an address or name is this machine's own: 127.0.0.0/8, ::1 or localhost."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def place_of(url: object) -> tuple[str, str] | None:
    """Return host and folder out of what NNI says of a remote trial, ``file://host:/folder``; None if there is none."""
    found = re.fullmatch(r"file://(.+?):(/.*)", url) if isinstance(url, str) else None
    return (found[1], found[2]) if found else None


def trial_lines(text: str, trial: str) -> str:
    """Return what a trial printed, out of what NNI's runner on its machine printed: ``RUNNER_OUTPUT`` in its place.

    Args:
        text: of the runner, which tells when a trial begins and ends, and takes one trial after the other.
        trial: its id.
    """
    begin = re.compile(rf"\[[^\]]*\] INFO {re.escape(trial)}: spawns a subprocess")
    end = re.compile(rf"\[[^\]]*\] INFO {re.escape(trial)}: subprocess terminated")
    lines = text.splitlines()
    first = next((number + 1 for number, line in enumerate(lines) if begin.match(line)), len(lines))
    last = next((number for number, line in enumerate(lines) if end.match(line)), len(lines))
    return "\n".join(lines[first:last])


def fetch(
    machines: Iterable[RemoteMachine], folder: PurePosixPath, names: Iterable[str], target: Path, known_hosts: Path
) -> list[Path]:
    """Copy files of a folder on one of the machines to here; those that are not there are left out.

    Args:
        machines: those that the folder may be on; the first that has one of the files counts. NNI tells a trial's host
            and not its port, so that there can be several.
        folder: absolute, on the machine.
        names: of files in it.
        target: folder to write into, which is made.
        known_hosts: file that keys of machines not met before are written to. A machine whose key has changed since is
            refused, and so is one whose key in the user's own ``known_hosts`` is another.

    Returns:
        What was written.

    Raises:
        FetchError: no machine has any of the files, or none can be reached; the message has the last reason, and the
            command with which a user fetches them by hand.
    """
    names = list(names)
    by_hand = f"fetch them from {folder}"
    if _PLAIN_PATH.fullmatch(str(folder)) is None:  # sftp's batch has a language of its own
        raise FetchError(f"a folder of another machine has an unusual name: {readable(str(folder), 200)}; {by_hand}")
    reason = "the experiment file names no such machine"
    for machine in machines:
        by_hand = f"fetch them by hand: scp -P {machine.port} -r {machine.user}@{machine.host}:{folder} ."
        if machine.key is None:
            reason = f"{machine}: a password cannot be used for it"
            continue
        with tempfile.TemporaryDirectory(prefix="snas-nni-") as made:
            problem = _sftp(machine, folder, names, Path(made), known_hosts)
            # A server's file may come as anything; only plain files of these names are taken.
            came = [Path(made) / name for name in names if (Path(made) / name).is_file()]
            if came:
                target.mkdir(parents=True, exist_ok=True)
                return [Path(shutil.copyfile(each, target / each.name)) for each in came]
        reason = f"{machine}: {problem or 'none of them is there'}"
    raise FetchError(f"files of another machine could not be fetched: {reason}; {by_hand}")


def _sftp(
    machine: RemoteMachine, folder: PurePosixPath, names: Iterable[str], target: Path, known_hosts: Path
) -> str | None:
    """Get files; return what went wrong as a whole, or None. A file that is not there is not a problem."""
    if shutil.which("sftp") is None:
        return "sftp is not installed here (Debian's package openssh-client)"
    options: Mapping[str, object] = {
        "BatchMode": "yes",  # never asks
        "ConnectTimeout": _CONNECT_SECONDS,
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": f'"{known_hosts}" ~/.ssh/known_hosts',
        "IdentitiesOnly": "yes",
    }
    words = ["sftp", "-q", "-b", "-", "-P", str(machine.port), "-i", str(machine.key)]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    # A dash before a command lets sftp go on after a file that is not there.
    batch = "".join(f'-get "{folder / name}" "{target / name}"\n' for name in names)
    known_hosts.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [*words, f"{machine.user}@{machine.host}"],
            input=batch,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {_FETCH_SECONDS:.0f} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Warning: Permanently")]
    return readable(lines[-1] if lines else f"sftp ended with {done.returncode}", 300)
