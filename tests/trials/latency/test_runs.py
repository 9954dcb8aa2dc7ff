"""A search with a budget in milliseconds: its table stays with it, the real child is timed, the next best is tried."""

import json
from pathlib import Path

import onnx
import pytest

from exports import load
from snas_nni import InputExample, SettingError
from snas_nni.resources.latency.table import table_header
from tests.trials.latency.timed_spaces import TimedSpace
from trials.cli import main
from trials.latency import child as child_module
from trials.latency import tables
from trials.latency.child import TABLE_FILE, table_of_run
from trials.progress import Progress
from trials.settings.costs.latency import LatencySettings
from trials.settings.search import ResourceSettings, RunSettings

SPACE = f"{TimedSpace.__module__}.{TimedSpace.__name__}"
SHORT = [
    "--search.epochs",
    "3",
    "--search.batch_size",
    "256",
    "--search.settle_epochs",
    "1",
    "--search.candidates",
    "3",
]
BUDGET = 17.0


def counting(extra):
    """ONNX Runtime's place is taken by arithmetic on the graph."""

    def timer(settings):
        assert settings == LatencySettings().runtime

        def count(path):
            graph = onnx.load(path).graph
            sides = {each.name: each.dims for each in graph.initializer}
            shapes = [sides[node.input[1]] for node in graph.node if node.op_type == "Conv"]
            return [1.0 + sum(2.0 + 0.5 * shape[0] + extra * (shape[1] == 4 and shape[2] == 3) for shape in shapes)]

        return count

    return timer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A search on a machine where the finished child's larger kernel is slower than the table knows."""
    output = tmp_path_factory.mktemp("latency") / "run"
    words = ["search", "--space", SPACE, *SHORT, "--resources.max_latency_ms", str(BUDGET), "--latency.children", "22"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "onnxruntime_timer", counting(0.0))
        patch.setattr(child_module, "onnxruntime_timer", counting(30.0))
        code = main(
            [*words, "--latency.held_out", "3", "--latency.passes", "1", "--output", str(output), "--seed", "3"]
        )
    assert code == 0
    return output


@pytest.mark.slow
def test_the_measured_child_is_within_the_budget(run):
    summary = json.loads((run / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["latency_ms"] == metrics["latency_p50_ms"] == metrics["latency_p90_ms"] <= BUDGET
    assert metrics["predicted_latency_ms"] == pytest.approx(metrics["latency_ms"], rel=1e-3)
    architecture = load(run / "architecture.json")
    assert architecture.metrics["latency_ms"] == metrics["latency_ms"]
    assert architecture.sample["first"] == "skip"  # with the larger kernel no child is
    assert summary["budget"] == {"latency_ms": BUDGET}
    assert summary["latency"]["measurement"]["runtime"] == "onnxruntime"
    assert summary["latency"]["calibration"]["children"] == 3
    assert not (run / "latency.work").exists()


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_table(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "onnxruntime_timer", None)  # nothing is timed any more
    settings = RunSettings(resources=ResourceSettings(max_latency_ms=BUDGET))
    clock = table_of_run(settings, run, TimedSpace, InputExample((1, 8, 8)), Progress(True))
    assert clock.path == run / TABLE_FILE
    assert clock.header == table_header(run / TABLE_FILE)
    assert clock.is_here


@pytest.mark.slow
def test_other_children_are_derived_within_milliseconds_too(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(child_module, "onnxruntime_timer", counting(0.0))
    words = ["derive", str(run), "--candidates", "3", "--output"]
    assert main([*words, str(tmp_path / "fast"), "--max-latency-ms", "13"]) == 0
    metrics = json.loads((tmp_path / "fast" / "summary.json").read_text())["metrics"]
    assert metrics["latency_ms"] <= 13
    assert main([*words, str(tmp_path / "none"), "--max-latency-ms", "1"]) == 2
    assert "budget of latency_ms is 1, below the cheapest child" in capsys.readouterr().err


def test_a_given_table_is_kept_and_one_of_another_device_times_nothing(tmp_path):
    given = tmp_path / "board.json"
    document = {"format": "snas-nni/latency", "version": 1, "device": {"machine": "board"}, "entries": []}
    given.write_text(json.dumps(document))
    folder = tmp_path / "run"
    folder.mkdir()
    settings = RunSettings(resources=ResourceSettings(latency_table=str(given)))
    clock = table_of_run(settings, folder, TimedSpace, InputExample((1, 8, 8)), Progress(True))
    assert (folder / TABLE_FILE).read_bytes() == given.read_bytes()
    assert not clock.is_here
    assert clock.figures(Path("nothing")) == {}
    assert clock.document() == {"device": {"machine": "board"}, "measurement": {}, "calibration": {}}
    (folder / TABLE_FILE).unlink()
    given.write_text("{}")
    with pytest.raises(SettingError, match=r"board.json: format must be"):
        table_of_run(settings, folder, TimedSpace, InputExample((1, 8, 8)), Progress(True))


@pytest.mark.parametrize("settings", [RunSettings(), RunSettings(resources=ResourceSettings(max_params=5.0))])
def test_without_a_bound_nothing_is_measured(settings, tmp_path):
    assert table_of_run(settings, tmp_path, TimedSpace, InputExample((1, 8, 8)), Progress(True)) is None


def test_pytorch_is_the_clock_where_it_is_asked_for(tmp_path):
    settings = RunSettings(resources=ResourceSettings(max_latency_ms=5.0), latency=LatencySettings(clock="pytorch"))
    assert table_of_run(settings, tmp_path, TimedSpace, InputExample((1, 8, 8)), Progress(True)) is None
