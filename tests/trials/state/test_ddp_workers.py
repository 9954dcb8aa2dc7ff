"""The first process of several opens the folder, the others follow it and change nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snas_nni.errors import SettingError
from trials.progress import Progress
from trials.settings.search import RunSettings
from trials.state.checkpoint_files import checkpoint_name, write_checkpoint
from trials.state.ddp_workers import MainProcess, as_main_process, main_process, open_or_join
from trials.state.output_folder import OutputFolder

QUIET = Progress(quiet=True)


@pytest.fixture
def second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")


def test_the_first_process_follows_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with as_main_process(OutputFolder(tmp_path)):
        assert main_process() is None
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert main_process() is None


def test_a_process_of_another_launcher_is_refused(second_process: None) -> None:
    with pytest.raises(SettingError, match="start one process only"):
        main_process()


@pytest.mark.parametrize("resumed", [None, "run"])
def test_what_is_led_is_followed(second_process: None, tmp_path: Path, resumed: str | None) -> None:
    checkpoint = tmp_path / resumed / "checkpoints" / checkpoint_name(1, 0) if resumed else None
    with as_main_process(OutputFolder(tmp_path / "new", checkpoint)):
        expected = MainProcess(tmp_path / "new", str(tmp_path / resumed) if resumed else None)
        assert main_process() == expected
    with pytest.raises(SettingError):  # nobody leads any more
        main_process()


def test_a_started_process_hears_of_it(tmp_path: Path) -> None:
    program = "from trials.state.ddp_workers import main_process; print(main_process().output)"
    with as_main_process(OutputFolder(tmp_path / "new")):
        environment = {**os.environ, "LOCAL_RANK": "1"}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "new"), done.stderr


def test_a_follower_writes_nothing_and_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "output"
    lead = MainProcess(output, str(tmp_path / "run"))
    for epochs in (1, 2):
        write_checkpoint({}, tmp_path / "run" / "checkpoints" / checkpoint_name(epochs, 0))
    with open_or_join(RunSettings(output=str(tmp_path / "not this")), None, lead, QUIET) as opened:
        assert opened == OutputFolder(output, tmp_path / "run" / "checkpoints" / checkpoint_name(2, 0))
    with open_or_join(RunSettings(), None, MainProcess(output, None), QUIET) as opened:
        assert opened == OutputFolder(output, None)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_first_process_opens_the_folder(tmp_path: Path) -> None:
    with open_or_join(RunSettings(output=str(tmp_path / "output")), None, None, QUIET) as opened:
        assert opened == OutputFolder(tmp_path / "output")
        assert (tmp_path / "output" / "settings.yml").is_file()
