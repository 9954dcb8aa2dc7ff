"""The built wheel, in a folder that holds nothing but a user's own files."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

SPACE = """
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

class TinySpace(ModelSpace):
    def __init__(self, in_channels=1, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.middle = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="middle")
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.middle(self.stem(images)).relu().mean((2, 3)))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A clean environment with the wheel; what the wheel depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, cwd=folder)
    venv.create(folder / "clean", with_pip=False, symlinks=True)
    python = folder / "clean" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    wheel = next(folder.glob("snas_nni-*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel],
        check=True,
        cwd=folder,
    )
    # A .pth adds the folder and does not process the .pth files in it, so the editable install stays out of sight.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_it_searches_a_users_own_space_beside_folders_of_the_same_names(installed, tmp_path):
    (tmp_path / "tiny_space.py").write_text(SPACE)
    for name in ("search_spaces", "trials", "exports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is the user\\'s own folder')\n")
    run = subprocess.run(
        [
            installed / "snas-nni", "search", "--space.class_path", "tiny_space.TinySpace",
            "--search.epochs", "1", "--search.batch_size", "256", "--output", "found",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
        env={**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    record = json.loads((tmp_path / "found" / "architecture.json").read_text())
    assert record["space"]["class_path"] == "tiny_space.TinySpace"
    assert (tmp_path / "found" / "model.onnx").is_file()


def test_it_ships_what_its_packages_need(installed):
    script = (
        "import exports, trials, search_spaces, snas_nni, pathlib\n"
        "for package in (exports, trials, search_spaces, snas_nni):\n"
        "    folder = pathlib.Path(package.__file__).parent\n"
        f"    assert str(folder).startswith({str(installed.parent)!r}), folder\n"
        "    assert (folder / 'py.typed').is_file(), folder\n"
        "assert (pathlib.Path(trials.__file__).parent / 'experiments' / 'listen_on_loopback.cjs').is_file()\n"
        "assert exports.architecture_schema()['additionalProperties'] is False\n"
    )
    subprocess.run([installed / "python", "-c", script], check=True, cwd=installed)
