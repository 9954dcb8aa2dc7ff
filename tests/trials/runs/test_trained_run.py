"""A result folder with the data of its training: what its files decide, and what they may not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snas_nni.errors import SettingError
from trials.progress import Progress
from trials.runs.trained_run import load_trained

KEPT = Path(__file__).parent / "from_before" / "before"
QUIET = Progress(quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(KEPT, tmp_path / "run")
    return tmp_path / "run"


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_the_folder_and_its_file_are_one(folder: Path) -> None:
    first, second = (load_trained(str(path), None, {}, QUIET) for path in (folder, folder / "architecture.json"))
    assert first.folder == second.folder == folder
    assert first.onnx == folder / "model.onnx"
    assert first.architecture.sample == second.architecture.sample
    assert len(first.data.train) == 1151


def test_data_that_is_given_wins_over_what_is_recorded(folder: Path) -> None:
    trained = load_trained(str(folder), None, {"validation_fraction": 0.5}, QUIET)
    assert len(trained.data.train) < 800


def test_the_network_s_own_statistics_are_used(folder: Path) -> None:
    statistics = {"mean": [0.25], "deviation": [2.0]}
    change(folder / "summary.json", lambda document: document.update(normalisation=statistics))
    normalisation = load_trained(str(folder), None, {}, QUIET).data.normalisation
    assert normalisation is not None
    assert (normalisation.mean, normalisation.deviation) == ((0.25,), (2.0,))


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        (
            "summary.json",
            {"class_names": ["a", "b"]},
            r"trained for 2 classes \(a, b\), the data has 10 \(0, 1",
        ),
        ("summary.json", {"normalisation": {"mean": [0.0, 0.0], "deviation": [1.0, 1.0]}}, "the data has 1 channels"),
        (
            "architecture.json",
            {"settings": {"data": {"source": "os.system"}}},
            "architecture.json records os.system; give the data",
        ),
        ("architecture.json", {"settings": {}}, "architecture.json records None; give the data"),
        ("architecture.json", {"settings": {"data": {"source": "digits", "split": 1}}}, "no setting split"),
        ("architecture.json", {"settings": {"data": {"source": "digits", "cutout": "x"}}}, "settings.data: .*cutout"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, file: str, edit: dict[str, Any], message: str) -> None:
    change(folder / file, lambda document: document.update(edit))
    with pytest.raises(SettingError, match=message):
        load_trained(str(folder), None, {}, QUIET)


def test_a_file_does_not_say_where_to_write_or_what_to_download(folder: Path, tmp_path: Path) -> None:
    data = {"source": "cifar10", "cache": str(tmp_path / "cache"), "download": True, "path": str(tmp_path / "none")}
    change(folder / "architecture.json", lambda document: document["settings"].update(data=data))
    with pytest.raises(SettingError, match="data.path: no cifar10"):
        load_trained(str(folder), None, {}, QUIET)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "none").exists()
