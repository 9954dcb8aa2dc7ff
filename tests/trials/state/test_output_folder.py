"""Which folder a run writes into, and what it refuses."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from snas_nni.errors import SettingError
from trials.progress import Progress
from trials.settings.search import CheckpointSettings, DataSettings, RunSettings, SearchSettings
from trials.state.checkpoint_files import checkpoint_name, write_checkpoint
from trials.state.output_folder import open_output, recorded_settings

QUIET = Progress(quiet=True)


def begin(folder: Path, **settings) -> RunSettings:
    """A run that was cut off after its first epoch."""
    run = RunSettings(output=str(folder), **settings)
    with open_output(run, None, QUIET):
        write_checkpoint({}, folder / "checkpoints" / checkpoint_name(1, 0))
    return replace(run, output=None, resume=str(folder))


def test_a_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    settings = begin(tmp_path / "run", seed=3)
    with open_output(settings, None, QUIET) as output:
        assert output.path == tmp_path / "run"
        assert output.checkpoint == tmp_path / "run" / "checkpoints" / checkpoint_name(1, 0)
        assert not output.finished


def test_a_run_goes_on_elsewhere_and_leaves_its_folder_alone(tmp_path: Path) -> None:
    settings = begin(tmp_path / "run")
    before = (tmp_path / "run" / "settings.yml").read_bytes()
    with open_output(replace(settings, output=str(tmp_path / "other"), quiet=True), None, QUIET) as output:
        assert output.path == tmp_path / "other"
        assert output.checkpoint is not None
        assert output.checkpoint.parent == tmp_path / "run" / "checkpoints"
        assert (tmp_path / "other" / "settings.yml").read_bytes() == before
    assert (tmp_path / "run" / "settings.yml").read_bytes() == before


def test_a_mistake_before_anything_began_leaves_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path / "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        with pytest.raises(SettingError, match="wrong"), open_output(RunSettings(output=str(folder)), None, QUIET):
            raise SettingError("wrong")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_mistake_later_leaves_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(SettingError), open_output(RunSettings(output=str(tmp_path / "new")), None, QUIET) as output:
        write_checkpoint({}, output.path / "checkpoints" / checkpoint_name(1, 0))
        raise SettingError("wrong")
    settings = begin(tmp_path / "cut")
    with pytest.raises(SettingError), open_output(settings, None, QUIET):
        raise SettingError("wrong")
    assert all((tmp_path / name / "settings.yml").is_file() for name in ("new", "cut"))


def test_what_decides_the_result_cannot_change(tmp_path: Path) -> None:
    settings = begin(tmp_path / "run", search=SearchSettings(epochs=5))
    other = replace(settings, search=SearchSettings(epochs=6))
    with pytest.raises(SettingError, match=r"began with search\.epochs 5, not 6"), open_output(other, None, QUIET):
        pass
    free = replace(
        settings, data=DataSettings(workers=2), checkpoint=CheckpointSettings(keep=9), accelerator="cpu", quiet=True
    )
    with open_output(free, None, QUIET) as output:
        assert output.checkpoint is not None


def test_a_setting_that_is_newer_than_the_run_had_its_default_there(tmp_path: Path) -> None:
    settings = begin(tmp_path / "run")
    file = tmp_path / "run" / "settings.yml"
    document = yaml.safe_load(file.read_text())
    del document["data"]["split_seed"], document["search"]["skip_tolerance"]
    file.write_text(yaml.safe_dump(document))
    with open_output(settings, None, QUIET) as output:
        assert output.checkpoint is not None
    file.write_text(yaml.safe_dump(document))
    other = replace(settings, data=DataSettings(split_seed=4))
    with pytest.raises(SettingError, match=r"data\.split_seed 0, not 4"), open_output(other, None, QUIET):
        pass


def test_a_trial_that_nni_runs_again_goes_on(tmp_path: Path) -> None:
    trial = SimpleNamespace(output_folder=tmp_path / "search")  # all that this asks of an NniTrial
    with open_output(RunSettings(), trial, QUIET) as output:
        assert output.path == tmp_path / "search"
        assert output.checkpoint is None
        write_checkpoint({}, output.path / "checkpoints" / checkpoint_name(2, 0))
    with open_output(RunSettings(), trial, QUIET) as output:
        assert output.checkpoint is not None
        (output.path / "summary.json").write_text("{}")
    with open_output(RunSettings(), trial, QUIET) as output:
        assert output.finished


def test_where_nothing_can_go_on(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingError, match="there is no run in"),
        open_output(RunSettings(resume=str(tmp_path)), None, QUIET),
    ):
        pass
    settings = begin(tmp_path / "run")
    (tmp_path / "run" / "settings.yml").write_text("[")
    with pytest.raises(SettingError, match=r"settings\.yml.*cannot be read"), open_output(settings, None, QUIET):
        pass


def test_how_checkpoints_are_kept_is_no_part_of_a_result() -> None:
    recorded = recorded_settings(RunSettings(checkpoint=CheckpointSettings(keep=5), output="x", quiet=True))
    assert recorded == recorded_settings(RunSettings())
    assert recorded["seed"] == 0


def test_a_run_that_was_killed_before_its_settings_had_their_name_begins_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints").rmdir()
    (folder / ".lock").write_text("123")
    (folder / ".settings.yml.0123456789abcdef.tmp").write_text("seed: 3")
    with (
        pytest.raises(SettingError, match=f"cut off before it began; give its command again, with --output {folder}"),
        open_output(RunSettings(resume=str(folder)), None, QUIET),
    ):
        pass
    begin(folder, seed=3)
    assert {path.name for path in folder.iterdir()} == {".lock", "settings.yml", "checkpoints"}


def test_what_a_killed_run_left_half_written_goes_and_nothing_else(tmp_path: Path) -> None:
    settings = begin(tmp_path / "run")
    half = [tmp_path / "run" / f"{name}.0123456789abcdef.tmp" for name in (".metrics.csv", "checkpoints/.a.ckpt")]
    others = [tmp_path / "run" / name for name in (".notes.tmp", "checkpoints/.mine.tmp", ".x.0123456789abcdef.tmp2")]
    for path in (*half, *others):
        path.write_text("")
    with open_output(settings, None, QUIET):
        pass
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in others)
