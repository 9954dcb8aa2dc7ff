"""Machines to try remote trials on: OpenSSH servers on loopback, each with a disk and environment of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from trials.experiments.manager import free_port

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
# Where NNI's remote service works on every machine. A mount of its own makes it another disk on each.
WORK = Path("/tmp/nni-experiments")


def missing() -> str | None:
    """Say what this machine lacks to play several; None if it lacks nothing."""
    if SSHD is None or shutil.which("sftp") is None:
        return "needs OpenSSH: install Debian's packages openssh-server and openssh-client"
    if os.geteuid() != 0:
        return "needs root: servers that log users in, and mounts"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "needs a system that allows mount namespaces"


class Machine:
    """One server: an address, keys, a home, a disk.

    Args:
        folder: that everything of it is kept in.
        address: on loopback.
        key: public key of who may log in.
    """

    def __init__(self, folder: Path, address: str, key: Path) -> None:
        self.folder = folder
        self.address = address
        self.port = free_port()
        self.disk = folder / "disk"
        self.home = folder / "home"
        for made in (self.disk, self.home):
            made.mkdir(parents=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")], check=True, timeout=60
        )
        shutil.copy(key, folder / "authorized_keys")
        variables = {
            "HOME": self.home,
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "OMP_NUM_THREADS": "1",
            "SNAS_MACHINE": folder.name,
        }
        set_env = " ".join(f'"{name}={value}"' for name, value in variables.items())
        (folder / "sshd_config").write_text(
            f"ListenAddress {address}\nPort {self.port}\nHostKey {folder}/host_key\nPidFile {folder}/sshd.pid\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
            f"PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxSessions 200\nMaxStartups 200\n"
            f"SetEnv {set_env}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Switch it on."""
        for made in (WORK, Path("/run/sshd")):
            made.mkdir(parents=True, exist_ok=True)
        script = f'mount --make-rprivate / && mount --bind "$0" {WORK} && exec "$@"'
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, str(self.disk), str(SSHD), "-D", "-e", "-f",
             str(self.folder / "sshd_config")],
            stderr=(self.folder / "sshd.log").open("ab"), start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while f"Server listening on {self.address}" not in (self.folder / "sshd.log").read_text()[-300:]:
            assert self._process.poll() is None, (self.folder / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def processes(self) -> list[psutil.Process]:
        """Return its processes: the server, its sessions, the trials that they started."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SNAS_MACHINE") == self.folder.name or (
                    self._process is not None and process.pid == self._process.pid
                ):
                    found.append(process)
        if self._process is not None:
            with contextlib.suppress(psutil.Error):
                found += psutil.Process(self._process.pid).children(recursive=True)
        return found

    def off(self) -> None:
        """Pull the plug: everything that runs on it ends at once."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)
        self._process = None
        (self.folder / "sshd.log").write_text("")
