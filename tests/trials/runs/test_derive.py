"""Other children of a finished search: within their bounds, whole folders, and the search is left as it was."""

import json
from pathlib import Path

import pytest
import torch

from exports import build, load
from exports.onnx_files.live_memory import live_peak
from exports.report.run import read_run
from snas_nni import SettingError
from snas_nni.resources import count_child
from trials.cli import main
from trials.progress import Progress
from trials.runs.derive import budgets_between, restore
from trials.verbs.search import read_search_settings

pytestmark = pytest.mark.slow

SMALL = (
    *("--space.class_path=search_spaces.NasBench201Space", "--space.init_args.channels=2"),
    *("--space.init_args.cells_per_stage=1", "--search.epochs=3", "--search.batch_size=256", "--quiet"),
)


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("derive") / "found"
    assert main(["search", *SMALL, f"--output={folder}"]) == 0
    return folder


def params_of(folder: Path) -> float:
    child = build(load(folder / "architecture.json"))
    return count_child(child, torch.zeros(1, 1, 8, 8))["params"]


def test_a_child_within_another_budget(search, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in search.iterdir() if path.is_file()}
    output = tmp_path / "small"
    assert main(["derive", str(search), "--max-params", "2.5k", "--output", str(output)]) == 0
    assert "validation accuracy" in capsys.readouterr().out
    summary = json.loads((output / "summary.json").read_text())
    assert params_of(output) == summary["parameters"] <= 2500
    assert summary["derived_from"] == str(search)
    assert read_run(output).bounds == {"params": 2500.0}
    assert (output / "model.onnx").is_file()
    assert before == {path.name: path.read_bytes() for path in search.iterdir() if path.is_file()}
    assert main(["evaluate", str(output)]) == 0
    assert main(["derive", str(search), "--max-params", "2500", "--output", str(output)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_share_of_the_dearest_child(search, tmp_path, capsys):
    output = tmp_path / "half"
    assert main(["derive", str(search), "--max-params", "50%", "--output", str(output), "--quiet"]) == 0
    settings = read_search_settings([f"--resume={search}"])
    dearest = restore(search, settings, Progress(quiet=True)).cost_range("params")[1]
    assert read_run(output).bounds == {"params": dearest / 2}
    assert params_of(output) <= dearest / 2
    assert main(["derive", str(search), "--max-params", "150%", "--output", str(output)]) == 2
    assert "--max-params is 150%, but must be above 0% and at most 100%" in capsys.readouterr().err


def test_a_sweep_is_within_each_of_its_budgets(search, tmp_path, capsys):
    output = tmp_path / "sweep"
    words = ["--sweep", "params:3", "--candidates", "2", "--tune-epochs", "1", "--output", str(output), "--quiet"]
    assert main(["derive", str(search), *words]) == 0
    front = json.loads((output / "front.json").read_text())
    points = front["points"]
    assert (front["cost"], front["search"], front["tune_epochs"]) == ("params", str(search), 1)
    assert [point["cost"] <= point["budget"] for point in points] == [True] * 3
    assert points[0]["cost"] == points[0]["budget"]  # only the cheapest children meet the first one
    for point in points:
        assert params_of(output / point["folder"]) == point["cost"]
        summary = json.loads((output / point["folder"] / "summary.json").read_text())
        assert summary["tune_epochs"] == point["tune_epochs"]
        assert summary["metrics"]["validation_accuracy"] == point["accuracy"]
        assert point["interval"][0] <= point["accuracy"] <= point["interval"][1]
    accuracies = [point["accuracy"] for point in points]
    assert accuracies == sorted(accuracies)  # a child that is cheap and better stays the best
    folders = {point["folder"] for point in points}
    assert {path.name for path in output.iterdir()} == {*folders, "front.json", "report.html"}
    own = json.loads((search / "summary.json").read_text())["metrics"]
    assert (front["chosen"]["cost"], front["chosen"]["accuracy"]) == (own["params"], own["validation_accuracy"])
    assert len(folders) == len({(point["cost"], point["accuracy"]) for point in points})
    assert len(front["random"]) == 8
    low, high = points[0]["budget"], points[-1]["budget"]
    assert all(low <= point["cost"] <= high and 0 <= point["accuracy"] <= 1 for point in front["random"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--max-params", "few"], "--max-params: 'few'"),
        (["--max-params", "1"], "budget of params is 1"),
        (["--sweep", "params"], "must look like params:8"),
        (["--sweep", "params:1"], "at least 2 budgets"),
    ],
)
def test_mistakes_are_named(search, tmp_path, words, named, capsys):
    assert main(["derive", str(search), *words, "--output", str(tmp_path / "new")]) == 2
    assert named in capsys.readouterr().err


def test_a_folder_without_a_checkpoint_is_named(tmp_path, capsys):
    (tmp_path / "settings.yml").write_text("seed: 1\n")
    assert main(["derive", str(tmp_path), "--max-params", "3000"]) == 2
    assert "no checkpoint that can be used" in capsys.readouterr().err


def test_budgets_are_evenly_spread_and_reach_both_ends():
    assert budgets_between(10.0, 30.0, 5) == [10, 15, 20, 25, 30]
    with pytest.raises(SettingError, match="at least 2"):
        budgets_between(1.0, 2.0, 1)


def test_measured_bounds_take_the_next_best_child(search, tmp_path, capsys):
    """What the unbounded child needs is refused, so another one is taken, which needs less."""
    free = tmp_path / "free"
    assert main(["derive", str(search), "--candidates", "8", "--output", str(free), "--quiet"]) == 0
    peak = json.loads((free / "summary.json").read_text())["metrics"]["live_peak"]
    assert load(free / "architecture.json").metrics["live_peak"] == peak == live_peak(free / "model.onnx")
    output = tmp_path / "fits"
    words = ["--max-live-peak", str(peak - 1), "--max-int8-loss", "0.5", "--candidates", "8", "--output", str(output)]
    assert main(["derive", str(search), *words]) == 0
    assert f"live_peak {peak:,.4g} of" in capsys.readouterr().out
    metrics = json.loads((output / "summary.json").read_text())["metrics"]
    assert metrics["live_peak"] < peak
    assert metrics["int8_loss"] <= 0.5
    assert read_run(output).bounds == {"live_peak": peak - 1, "int8_loss": 0.5}
    assert (
        main(["derive", str(search), "--max-live-peak", "1", "--candidates", "1", "--output", str(tmp_path / "none")])
        == 2
    )
    assert "most probable children within the bounds is accepted" in capsys.readouterr().err
