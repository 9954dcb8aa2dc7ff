"""The metric that decides, and its direction wherever it is recorded."""

import math

import pytest

from exports.metric import ACCURACY, TASK_METRICS, DecidingMetric, metric_of_evaluator, recorded_metric, reported_metric
from snas_nni.errors import SettingError

ERROR = TASK_METRICS["regression"]


def test_direction() -> None:
    assert ERROR.is_better(1.0, than=2.0)
    assert not ACCURACY.is_better(0.1, than=0.2)
    assert (ERROR.gain(1.0, over=3.0), ACCURACY.gain(0.5, over=0.25)) == (2.0, 0.25)
    assert (ERROR.optimize_mode, ACCURACY.optimize_mode) == ("minimize", "maximize")
    assert (ERROR.selection, ACCURACY.selection) == ("-val_mean_absolute_error", "val_acc")
    for metric in (ERROR, ACCURACY):
        assert metric.rank(math.nan) == metric.rank(None) == -math.inf
        assert not metric.is_better(math.nan, than=1e9)


def test_words() -> None:
    assert ACCURACY.text(0.919) == "91.9%"
    assert ERROR.text(0.123456) == "0.1235"
    assert TASK_METRICS["segmentation"].title == "mean IoU"
    assert ERROR.in_words == "mean absolute error (lower is better)"


@pytest.mark.parametrize("metric", [ACCURACY, *TASK_METRICS.values(), metric_of_evaluator("val_auc", None)])
def test_what_is_recorded_is_read(metric: DecidingMetric) -> None:
    assert DecidingMetric.from_document(metric.as_document()) == metric
    assert recorded_metric({"metric": metric.as_document()}, {}) == metric
    assert reported_metric({}, {"metric": metric.as_document()}) == metric


def test_a_run_that_was_cut_says_it_by_its_settings() -> None:
    assert recorded_metric({}, {"training": {"task": "regression"}}) == ERROR
    own = recorded_metric({}, {"evaluator": {"class_path": "a.B", "metric": "val_loss", "mode": None}})
    assert (own.name, own.higher_is_better) == ("loss", False)
    for settings in ({}, {"training": {"task": "x"}}, {"training": 3}, {"evaluator": {"class_path": "a.B"}}):
        assert recorded_metric({}, settings) == ACCURACY
    assert recorded_metric({"metric": [1]}, {}) == ACCURACY  # a report shows what there is


@pytest.mark.parametrize("document", [None, [], {}, {"name": 3}, {"name": "x", "percent": "yes"}, {"name": "x" * 101}])
def test_other_documents_are_refused(document: object) -> None:
    with pytest.raises(SettingError, match="metric"):
        DecidingMetric.from_document(document)


@pytest.mark.parametrize(
    ("logged", "mode", "higher"),
    [("val_loss", None, False), ("val_error", None, False), ("val_auc", None, True), ("val_auc", "min", False)],
)
def test_direction_of_ones_own(logged: str, mode: str | None, higher: bool) -> None:
    assert metric_of_evaluator(logged, mode).higher_is_better is higher
