"""Experiment files are checked before anything starts."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from exports.metric import TASK_METRICS
from snas_nni.errors import SettingError
from trials.experiments.experiment_file import read_experiment_file
from trials.experiments.launch import LaunchOptions, _Experiment
from trials.experiments.trial_records import TrialRecord

ROOT = Path(__file__).parents[3]
GOOD = """\
trialCommand: echo
trialConcurrency: 1
maxTrialNumber: 2
searchSpace: {seed: {_type: choice, _value: [1]}}
experimentWorkingDirectory: ./experiments
tuner: {name: TPE}
trainingService: {platform: local}
"""


def test_good_file(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(GOOD)
    file = read_experiment_file(tmp_path / "good.yml")
    assert file.name == "good"
    assert file.folder == tmp_path / "experiments"
    assert (file.max_trials, file.concurrency, file.ends, file.local) == (2, 1, True, True)


def test_the_project_s_own_file_is_good() -> None:
    assert read_experiment_file(ROOT / "snas.yml").max_trials == 6


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (GOOD + "colour: 3\n", "colour"),
        (GOOD.replace("TPE", "TPX"), "TPX"),
        (GOOD.replace("trialConcurrency: 1", "trialConcurrency: 0"), "trial_concurrency > 0"),
        ("- a list", "experiment file"),
        ("a: [", "not YAML"),
        ("a: !!python/object/apply:os.getpid []", "not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content)
    with pytest.raises(SettingError, match=named) as caught:
        read_experiment_file(path)
    assert "bad.yml" in str(caught.value)


@pytest.mark.parametrize(
    ("tuner", "mode"),
    [
        ("{name: TPE}", "minimize"),  # NNI's own default
        ("{name: TPE, classArgs: {optimize_mode: maximize}}", "maximize"),
        ("{name: Evolution}", "maximize"),
        ("{name: Random}", None),
        ("{name: GridSearch}", None),
    ],
)
def test_direction_of_the_tuner(tmp_path: Path, tuner: str, mode: str | None) -> None:
    (tmp_path / "good.yml").write_text(GOOD.replace("{name: TPE}", tuner))
    assert read_experiment_file(tmp_path / "good.yml").optimize_mode == mode


@pytest.mark.parametrize(("mode", "refused"), [("maximize", True), ("minimize", False)])
def test_a_tuner_of_the_other_direction_is_refused(tmp_path: Path, mode: str, refused: bool) -> None:
    (tmp_path / "good.yml").write_text(
        GOOD.replace("{name: TPE}", f"{{name: TPE, classArgs: {{optimize_mode: {mode}}}}}")
    )
    experiment = _Experiment(read_experiment_file(tmp_path / "good.yml"), Console(quiet=True), LaunchOptions())
    report = {"default": 0.5, "metric": TASK_METRICS["regression"].as_document()}
    experiment._trials = [TrialRecord("a", 0, "RUNNING", {}), TrialRecord("b", 1, "RUNNING", {}, latest=report)]
    with pytest.raises(SettingError, match=r"mean absolute error \(lower.*optimize_mode") if refused else nullcontext():
        experiment._refuse_other_direction()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nothing\.yml.*No such file"):
        read_experiment_file(tmp_path / "nothing.yml")


def test_endless_experiment_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "endless.yml").write_text(GOOD.replace("maxTrialNumber: 2\n", ""))
    assert not read_experiment_file(tmp_path / "endless.yml").ends
