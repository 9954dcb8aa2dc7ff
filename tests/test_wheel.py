"""What the built wheel holds. How it works beside a user's own files: ``test_users_folder.py``."""

import subprocess

import pytest

pytestmark = pytest.mark.slow


def test_it_ships_what_its_packages_need(installed):
    script = (
        "import exports, trials, search_spaces, snas_nni, pathlib\n"
        "for package in (exports, trials, search_spaces, snas_nni):\n"
        "    folder = pathlib.Path(package.__file__).parent\n"
        f"    assert str(folder).startswith({str(installed.parent)!r}), folder\n"
        "    assert (folder / 'py.typed').is_file(), folder\n"
        "assert (folder / '__init__.pyi').is_file() and (folder / 'testing.pyi').is_file()\n"
        "from trials.experiments.node_options import node_options\n"
        "assert all(pathlib.Path(word).is_file() for word in node_options('').split('\"')[1::2])\n"
        "assert exports.architecture_schema()['additionalProperties'] is False\n"
    )
    # Isolated: what PYTHONPATH names is not the wheel.
    subprocess.run([installed / "python", "-I", "-c", script], check=True, cwd=installed)
