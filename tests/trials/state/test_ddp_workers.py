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
from trials.state.ddp_workers import Lead, lead_to_follow, leading, open_or_follow
from trials.state.output_folder import OutputFolder

QUIET = Progress(quiet=True)


@pytest.fixture
def second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")


def test_the_first_process_follows_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with leading(OutputFolder(tmp_path)):
        assert lead_to_follow() is None
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert lead_to_follow() is None


def test_a_process_of_another_launcher_is_refused(second_process: None) -> None:
    with pytest.raises(SettingError, match="start one process only"):
        lead_to_follow()


@pytest.mark.parametrize("resumed", [None, "run"])
def test_what_is_led_is_followed(second_process: None, tmp_path: Path, resumed: str | None) -> None:
    checkpoint = tmp_path / resumed / "checkpoints" / checkpoint_name(1, 0) if resumed else None
    with leading(OutputFolder(tmp_path / "new", checkpoint)):
        expected = Lead(tmp_path / "new", str(tmp_path / resumed) if resumed else None)
        assert lead_to_follow() == expected
    with pytest.raises(SettingError):  # nobody leads any more
        lead_to_follow()


def test_a_started_process_hears_of_it(tmp_path: Path) -> None:
    program = "from trials.state.ddp_workers import lead_to_follow; print(lead_to_follow().output)"
    with leading(OutputFolder(tmp_path / "new")):
        environment = {**os.environ, "LOCAL_RANK": "1"}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "new"), done.stderr


def test_a_follower_writes_nothing_and_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "output"
    lead = Lead(output, str(tmp_path / "run"))
    for epochs in (1, 2):
        write_checkpoint({}, tmp_path / "run" / "checkpoints" / checkpoint_name(epochs, 0))
    with open_or_follow(RunSettings(output=str(tmp_path / "not this")), None, lead, QUIET) as opened:
        assert opened == OutputFolder(output, tmp_path / "run" / "checkpoints" / checkpoint_name(2, 0))
    with open_or_follow(RunSettings(), None, Lead(output, None), QUIET) as opened:
        assert opened == OutputFolder(output, None)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_first_process_opens_the_folder(tmp_path: Path) -> None:
    with open_or_follow(RunSettings(output=str(tmp_path / "output")), None, None, QUIET) as opened:
        assert opened == OutputFolder(tmp_path / "output")
        assert (tmp_path / "output" / "settings.yml").is_file()
