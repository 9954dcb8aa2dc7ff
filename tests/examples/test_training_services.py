"""The example files for other machines are what NNI's own configuration classes accept, and what this project reads."""

import shlex
from pathlib import Path

import pytest
import yaml
from nni.experiment.config import ExperimentConfig
from nni.experiment.config.training_services import FrameworkControllerConfig, KubeflowConfig, RemoteConfig

from snas_nni.errors import SettingError
from trials.experiments.experiment_file import read_experiment_file
from trials.experiments.launch import LaunchOptions, launch
from trials.settings.reader import read_settings

FOLDER = Path(__file__).parents[2] / "examples" / "training_services"
CLASSES = {"remote": RemoteConfig, "frameworkcontroller": FrameworkControllerConfig, "kubeflow": KubeflowConfig}


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NNI looks whether the SSH key is there."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").write_text("not a key")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_there_is_one_file_for_each_service() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yml")) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_nni_takes_it_as_what_it_is(name: str) -> None:
    config = ExperimentConfig.load(FOLDER / f"{name}.yml")
    assert type(config.training_service) is CLASSES[name]
    canonical = config.canonical_copy()
    canonical.validate()
    document = canonical.json()  # what nnictl sends to the manager
    assert document["trainingService"]["platform"] == name
    assert document["nniManagerIp"] == "192.0.2.10"
    file = read_experiment_file(FOLDER / f"{name}.yml")
    assert (file.local, file.ends, file.max_trials) == (False, True, 12)


@pytest.mark.parametrize("name", CLASSES)
def test_its_trials_are_searches_with_settings_that_exist(name: str) -> None:
    document = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    service = document["trainingService"]
    command = {
        "remote": lambda: document["trialCommand"],
        "frameworkcontroller": lambda: service["taskRoles"][0]["command"],
        "kubeflow": lambda: service["master"]["command"],
    }[name]()
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("snas-nni", "search")
    for penalty in document["searchSpace"]["resources.penalty"]["_value"]:
        settings = read_settings(words, {"seed": 1, "resources.penalty": penalty})
        assert settings.data.source == "cifar10"
        assert settings.resources.penalty == penalty


@pytest.mark.parametrize("name", CLASSES)
def test_a_mistake_in_it_is_refused_by_nni_s_class(name: str, tmp_path: Path) -> None:
    document = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    document["trainingService"]["colour"] = "red"
    (tmp_path / "bad.yml").write_text(yaml.safe_dump(document))
    with pytest.raises(SettingError, match="colour"):
        read_experiment_file(tmp_path / "bad.yml")


@pytest.mark.parametrize("name", CLASSES)
def test_the_manager_is_not_opened_to_other_machines_unasked(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--listen-everywhere.*docs/security\.md"):
        launch(FOLDER / f"{name}.yml", LaunchOptions(tmp_path / "runs", quiet=True))
    assert not (tmp_path / "runs").exists()
