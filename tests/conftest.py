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
def _interruptible() -> Iterator[None]:
    """A shell that runs the tests in the background tells them, and all that they start, to ignore Ctrl-C.

    ``nohup``, and what starts tests without a terminal, may do the same with SIGHUP.
    """
    usual = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        usual[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.getsignal(number) for number in usual}
    for number, handler in usual.items():
        if before[number] is signal.SIG_IGN:
            signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """NNI keeps its registry of experiments in ``$HOME/nni-experiments``."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        yield home


@pytest.fixture(autouse=True)
def _signals_as_they_were(_interruptible: None) -> Iterator[None]:
    """What one test does to signals must not reach the processes that a later one starts, which inherit it."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if handler is not None:  # None: it was not installed from Python, and cannot be put back
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
