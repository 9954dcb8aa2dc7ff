"""Runs that an earlier version left, kept in ``from_before``, are still read, rebuilt and gone on with."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from exports import build, load
from exports.run_folder import read_result, read_summary
from snas_nni import SettingError
from trials.data.loaders import evaluation_loader
from trials.progress import Progress
from trials.runs.retrain import run_retrain
from trials.runs.search import run_search
from trials.runs.trained_run import load_trained
from trials.training.evaluation import evaluate, torch_predictor
from trials.verbs.retrain import read_retrain_settings
from trials.verbs.search import read_search_settings

KEPT = Path(__file__).parent / "from_before"
THREADS = 2  # that they ran with: other sums round differently


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the folders, as the current folder: the retraining names its architecture from there."""
    shutil.copytree(KEPT, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    before = torch.get_num_threads()
    # Elsewhere the last bits differ anyway, and threads that wait for each other are slow on a busy machine.
    torch.set_num_threads(THREADS if same_machine() else 1)
    yield tmp_path / "runs"
    torch.set_num_threads(before)


def same_machine() -> bool:
    """Whether this is the kind of machine and torch that the kept runs are from; another one rounds differently."""
    return json.loads((KEPT / "made_with.json").read_text()) == made_with()


def made_with() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = ("model name", "model", "cpu family", "stepping", "flags")
    facts = {}
    for name, _, value in (line.partition(":") for line in lines):
        if name.strip() in names:
            facts.setdefault(name.strip(), value.strip())
    return {"torch": torch.__version__, **facts}


def assert_same_network(found: Path, kept: Path) -> None:
    """The same architecture and probabilities, and weights equal to the bit where the machine is the same."""
    now, before = (json.loads((folder / "architecture.json").read_text()) for folder in (found, kept))
    assert now["sample"] == before["sample"]
    assert now["cells"].keys() == before["cells"].keys()
    weights, expected = (load_file(folder / "weights.safetensors") for folder in (found, kept))
    assert weights.keys() == expected.keys()
    if same_machine():
        assert now["probabilities"] == before["probabilities"]
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
        return
    for label, candidates in before["probabilities"].items():
        assert now["probabilities"][label] == pytest.approx(candidates, abs=1e-3)
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-2, atol=1e-2)


def test_a_finished_search_is_read_and_rebuilt(runs: Path) -> None:
    result = read_result(runs / "before")
    trained = load_trained("before", None, {}, Progress(quiet=True))
    assert result.parameters == sum(each.numel() for each in trained.child.parameters())
    assert read_summary(runs / "before").class_names == list(trained.data.class_names)
    stored = load_file(runs / "before" / "weights.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in trained.child.state_dict().items())
    found = evaluate(
        torch_predictor(build(load("before/architecture.json"))), evaluation_loader(trained.data, trained.data.test)
    )
    assert found.top1.value == pytest.approx(result.metrics["test_accuracy"], abs=1 / found.top1.count)


def test_its_settings_are_read_again(runs: Path) -> None:
    settings = read_search_settings(["--config", "before/settings.yml"])
    assert (settings.search.epochs, settings.search.batch_size, settings.search.logits_learning_rate) == (3, 256, 0.02)
    assert (settings.search.initial_temperature, settings.search.final_temperature) == (1.0, 0.03)
    assert settings.search.logits_betas == (0.5, 0.999)


def test_a_search_that_was_cut_goes_on_to_what_the_earlier_version_found(runs: Path) -> None:
    settings = read_search_settings(["--resume", "cut", "--quiet", "--accelerator", "cpu"])
    run_search(settings)
    assert_same_network(runs / "cut", KEPT / "cut_finished")
    if same_machine():
        assert (runs / "cut" / "metrics.csv").read_text() == (KEPT / "cut_finished" / "metrics.csv").read_text()


def test_a_cut_search_goes_on_without_what_was_added_since(runs: Path) -> None:
    resumed = read_search_settings(["--resume", "cut"])
    assert resumed.search.settle_epochs == 0
    assert (resumed.resources.exclude, resumed.resources.pull) == (False, "expected")
    again = read_search_settings(["--config", "cut/settings.yml"])  # a new search has today's defaults
    assert again.search.settle_epochs is None
    assert (again.resources.exclude, again.resources.pull) == (True, "both")


def test_what_its_folder_has_decides(runs: Path) -> None:
    recorded = yaml.safe_load((runs / "cut" / "settings.yml").read_text())
    recorded["search"]["settle_epochs"] = None
    recorded["resources"]["pull"] = "both"
    (runs / "cut" / "settings.yml").write_text(yaml.safe_dump(recorded))
    resumed = read_search_settings(["--resume", "cut"])
    assert (resumed.search.settle_epochs, resumed.resources.pull, resumed.resources.exclude) == (None, "both", False)


def test_another_setting_than_that_of_before_is_refused(runs: Path) -> None:
    with pytest.raises(SettingError, match=r"began with search\.settle_epochs 0, not 1"):
        run_search(read_search_settings(["--resume", "cut", "--search.settle_epochs", "1", "--quiet"]))


def test_a_retraining_that_was_cut_goes_on_to_what_the_earlier_version_trained(runs: Path) -> None:
    settings = read_retrain_settings(["--resume", "retrain_cut", "--quiet", "--accelerator", "cpu"])
    run_retrain(settings)
    assert_same_network(runs / "retrain_cut", KEPT / "retrain_finished")
    assert_same_network(runs / "retrain_cut" / "last", KEPT / "retrain_finished" / "last")
    if same_machine():
        kept = (KEPT / "retrain_finished" / "metrics.csv").read_text()
        assert (runs / "retrain_cut" / "metrics.csv").read_text() == kept
