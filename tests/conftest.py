"""What every test starts from: one thread, fixed seeds, a home directory of its own."""

import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is no part of the installed packages

# A machine that is busy with other work must not fail a property test by being slow.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """NNI keeps its registry of experiments in ``$HOME/nni-experiments``."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        yield home


@pytest.fixture(autouse=True)
def _usual_signals() -> Iterator[None]:
    """Every test, and all that it starts, has the handlers that a program in a terminal has.

    A shell that runs the tests in the background lets them ignore Ctrl-C, ``nohup`` lets them ignore SIGHUP, and what
    an earlier test or fixture did to signals would reach the processes of later ones.
    """
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if hasattr(signal, "SIGHUP"):
        usual[signal.SIGHUP] = signal.SIG_DFL
    for number, handler in usual.items():
        signal.signal(number, handler)
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of a clean environment with the wheel; what the wheel depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    here = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # what it names is not the wheel

    def output_of(*command: object) -> str:
        words = [str(word) for word in command]
        return subprocess.run(words, check=True, cwd=folder, env=here, capture_output=True, text=True).stdout

    # Of a copy: a build folder that lies here would hand on modules that are gone.
    source = folder / "source"
    source.mkdir()
    for path in Path(__file__).parents[1].iterdir():
        if path.is_file():
            shutil.copy(path, source)
        elif (path / "py.typed").exists():
            shutil.copytree(path, source / path.name)
    pip = (sys.executable, "-m", "pip")
    output_of(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source)
    venv.create(folder / "clean", with_pip=False, symlinks=True)
    python = folder / "clean" / "bin" / "python"
    site = output_of(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    wheel = next(folder.glob("snas_nni-*.whl"))
    output_of(*pip, "--python", python, "install", "--quiet", "--no-deps", wheel)
    # A .pth adds the folder and does not process the .pth files in it, so the editable install stays out of sight.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent
