"""``snas-nni runs``: one line for each run, whatever state it is in."""

import json

import pytest
from report_runs import write_run

from exports.report.run import read_run
from trials.cli import main
from trials.verbs.runs import list_runs


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "good")
    cut = write_run(tmp_path / "deep" / "cut")
    for name in ("summary.json", "architecture.json", "weights.safetensors", "model.onnx"):
        (cut / name).unlink(missing_ok=True)
    (cut / "checkpoints").mkdir()
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "settings.yml").write_text("seed: 1\n")
    (tmp_path / "other").mkdir()
    return tmp_path


def test_states_and_numbers(folder):
    lines = {line.name: line for line in list_runs(folder)}
    assert {name: line.state for name, line in lines.items()} == {
        "good": "finished",
        "deep/cut": "cut",
        "started": "empty",
    }
    good = read_run(folder / "good")
    assert lines["good"].validation == good.metrics["validation_accuracy"]
    assert lines["good"].parameters == good.parameters
    assert lines["good"].entropy == good.log.last("search/entropy_share")
    assert lines["deep/cut"].validation is None


@pytest.mark.parametrize(("bound", "said"), [(1e9, "within"), (1.0, "OVER")])
def test_a_budget_is_compared(tmp_path, bound, said):
    path = write_run(tmp_path / "run")
    summary = json.loads((path / "summary.json").read_text())
    summary["settings"] = {"resources": {"max_params": bound}}
    (path / "summary.json").write_text(json.dumps(summary))
    (line,) = list_runs(tmp_path)
    assert line.budget == said


def test_the_table_fits_a_terminal_of_80_columns(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["runs", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for name in ("good", "deep/cut", "started"):
        assert name in printed


def test_json_and_order(folder, capsys):
    assert main(["runs", str(folder), "--sort", "validation", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document[-1]["name"] == "good"


def test_nothing_there(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_two_runs_side_by_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    first, second = write_run(tmp_path / "first"), write_run(tmp_path / "second")
    path = second / "summary.json"
    summary = json.loads(path.read_text())
    before = summary["metrics"]["validation_accuracy"]
    summary["metrics"] |= {"validation_accuracy": before - 0.125, "macs": 2 * summary["metrics"].get("macs", 500)}
    settings = dict(summary.get("settings", {}))
    summary["settings"] = {**settings, "seed": 12345, "search": {**settings.get("search", {}), "epochs": 99}}
    path.write_text(json.dumps(summary))
    record = json.loads((second / "architecture.json").read_text())
    label, value = next(iter(record["sample"].items()))
    record["sample"][label] = other = "another_candidate" if isinstance(value, str) else [7]
    (second / "architecture.json").write_text(json.dumps(record))

    assert main(["runs", str(first), str(second), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    results = {row[0]: row[1:] for row in document["results"]}
    assert results["validation accuracy"][2] == "-12.5 points"
    settings = {row[0]: row[1:3] for row in document["settings"]}
    assert settings["seed"][1] == "12345"
    assert settings["search.epochs"][1] == "99"
    assert [row[0] for row in document["choices"]] == [label]

    assert main(["runs", str(first), str(second)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for part in ("first", "second", "-12.5 points", "search.epochs", label):
        assert part in printed
    assert str(other) in printed or isinstance(other, list)


def test_the_metric_of_a_task_is_a_share_where_it_says_so(tmp_path, capsys):
    for name, value in (("first", 0.5), ("second", 0.625)):
        path = write_run(tmp_path / name) / "summary.json"
        summary = json.loads(path.read_text())
        summary["metric"] = {"name": "mean_iou"}
        summary["metrics"] = {"test_mean_iou": value, "macs": 1000.0}
        path.write_text(json.dumps(summary))
    assert main(["runs", str(tmp_path / "first"), str(tmp_path / "second"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["results"]
    assert rows[0] == ["test mean IoU", "50.0 %", "62.5 %", "+12.5 points"]


def test_what_cannot_be_compared(tmp_path, capsys):
    run = str(write_run(tmp_path / "run"))
    for words, said in (
        ([run, run, run], "not 3"),
        ([run, str(tmp_path)], "is not the folder of a run"),
        ([run, str(tmp_path / "nowhere")], "is not the folder of a run"),
    ):
        assert main(["runs", *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["runs", run, run]) == 0
    printed = capsys.readouterr().out
    assert "no setting differs" in printed
    assert "no choice differs" in printed


def test_a_metric_of_which_less_is_better_is_named_and_sorted_by(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, error in (("worse_than_the_other_one", 12.5), ("better", 0.25)):
        path = write_run(tmp_path / name)
        summary = json.loads((path / "summary.json").read_text())
        summary["metric"] = {"name": "mean_absolute_error", "higher_is_better": False, "percent": False}
        summary["metrics"] = {"validation_mean_absolute_error": error, "macs": 123456789.0}
        summary["settings"] = {"resources": {"max_macs": 1.0}}
        (path / "summary.json").write_text(json.dumps(summary))
    assert main(["runs", str(tmp_path / "better"), str(tmp_path / "worse_than_the_other_one"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["results"][0]
    assert row == ["validation mean absolute error, lower is better", "0.25", "12.5", "+4900.0 %"]
    assert main(["runs", str(tmp_path), "--sort", "validation"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.index("12.5") < printed.index("0.25")
    assert "%" not in printed.split("0.25")[0].split("12.5")[0]
    assert "mean_abs" in printed
