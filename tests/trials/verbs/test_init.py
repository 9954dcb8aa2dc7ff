"""``snas-nni init``: what it writes works as it is, in the folder it was written into."""

import subprocess
import sys

import pytest

from trials.cli import main
from trials.verbs.init import STARTER_FILES


def test_its_test_passes_and_its_search_runs(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["init", str(folder)]) == 0
    assert f"cd {folder}" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == sorted(STARTER_FILES)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True, text=True
    )
    assert "2 passed" in tests.stdout, tests.stdout
    search = subprocess.run(
        [sys.executable, "-m", "trials.cli", "search", "--config", "search.yml", "--search.epochs", "1"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert search.returncode == 0, search.stderr
    assert (folder / "runs" / "first" / "architecture.json").is_file()


@pytest.mark.parametrize("name", STARTER_FILES)
def test_it_never_changes_a_file(tmp_path, name, capsys):
    (tmp_path / name).write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert name in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err
