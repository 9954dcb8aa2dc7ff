"""Two machines, and what a user who launches on them has."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from ssh_machine import Machine, missing

MISSING = missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(str(item.path)).parent == Path(__file__).parent and MISSING and "ssh" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A user's private key; the public one lies beside it."""
    path = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def machines(tmp_path: Path, key: Path):
    """Two machines on 127.0.0.2 and 127.0.0.3."""
    made = [Machine(tmp_path / f"machine{number}", f"127.0.0.{number}", key.with_suffix(".pub")) for number in (2, 3)]
    yield made
    for machine in made:
        machine.off()
