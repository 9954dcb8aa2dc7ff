"""Reports on tasks other than classification: the metric that decides, in its own direction and without percent."""

import json

from report_html import Page
from report_runs import architecture, columns, trial, write_experiment, write_run

from exports.metric import TASK_METRICS
from exports.report import write_report
from exports.report.findings import findings
from exports.report.fronts.sweep import read_sweep
from exports.report.fronts.sweep_view import view_sweep
from exports.report.run import read_run

ERROR = TASK_METRICS["regression"]
METRICS = {
    "validation_mean_absolute_error": 0.25,
    "test_mean_absolute_error": 0.375,
    "chosen_validation_mean_absolute_error": 0.5,
    "random_validation_mean_absolute_error": 2.0,
    "params": 4321.0,
}


def write_regression(folder, **changes):
    metrics = {**METRICS, **changes}
    record = architecture(metrics=metrics)
    made = {name: values for name, values in columns(record).items() if not name.endswith("_acc")}
    made["val_mean_absolute_error"] = [4.0, 2.0, 1.0, 0.25]
    made["sampled/val_mean_absolute_error"] = [4.5, 2.5, 1.5, 0.75]
    return write_run(folder, record, made, metrics=metrics, metric=ERROR.as_document())


def test_a_run_shows_its_metric(tmp_path):
    text = Page(write_report(write_regression(tmp_path / "run")).read_text()).text
    for shown in (
        "Test mean absolute error", "0.375", "0.375, lower is better",
        "mean absolute error (lower is better) 0.25 on validation data; 0.375 on test data, looked at once",
        "Mean absolute error", "Lower is better", "child mean absolute error",
    ):  # fmt: skip
        assert shown in text, shown
    assert "accuracy" not in text.split("Use it")[0]


def test_warnings_know_the_direction(tmp_path):
    assert [each for each in findings(read_run(write_regression(tmp_path / "good"))) if each.kind == "warning"] == []
    folder = write_regression(tmp_path / "bad", chosen_validation_mean_absolute_error=2.0)
    assert any("no better than random children" in each.text for each in findings(read_run(folder)))


def test_the_front_of_a_sweep_falls(tmp_path):
    points = [
        {"budget": budget, "cost": budget, "mean_absolute_error": error, "folder": f"{budget}", "parameters": budget}
        for budget, error in ((1000, 3.0), (2000, 1.0), (3000, 2.0), (4000, 0.995))
    ]
    front = {"cost": "params", "title": "Parameters", "metric": ERROR.as_document(), "points": points}
    front["random"] = [{"cost": 2500, "mean_absolute_error": 1.5}]
    (tmp_path / "front.json").write_text(json.dumps(front))
    view = view_sweep(read_sweep(tmp_path))
    assert [on_front for _, _, on_front, _ in view.rows] == [True, True, False, True]
    assert (
        "Point 2 is the cheapest about as good as the best: 1 validation mean absolute error" in view.answers[-1].text
    )
    assert view.answers[2].verdict == "yes"


def test_an_experiment_of_errors_has_the_smallest_first(tmp_path):
    trials = [
        trial(0, 0.5, 3000, final={"default": 0.5, "metric": ERROR.as_document(), "parameters": 3000}),
        trial(1, 0.25, 5000, final={"default": 0.25, "metric": ERROR.as_document(), "parameters": 5000}),
        trial(2, 0.75, 4000, final={"default": 0.75, "metric": ERROR.as_document(), "parameters": 4000}),
    ]
    page = Page(write_report(write_experiment(tmp_path, trials, best="id1")).read_text())
    assert "Best validation mean absolute error 0.25" in page.text
    assert any("On the front: trials 0, 1" in label for label in page.values("aria-label"))
