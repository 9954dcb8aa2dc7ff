"""Trials are joined to the parameters that their metrics were measured with."""

import json
from typing import Any

import pytest

from trials.experiments.display import seconds_left, status_line
from trials.experiments.experiment_file import ExperimentFile
from trials.experiments.trial_records import TrialRecord, trial_records


def job(number: int, status: str, parameter_id: int, value: int, final: Any = None, measured: int = 0) -> dict:
    parameters = {"parameter_id": parameter_id, "parameters": {"seed": value}}
    result = {
        "trialJobId": f"trial{number}",
        "sequenceId": number,
        "status": status,
        "hyperParameters": [json.dumps(parameters)],
        "startTime": 1000_000,
        "endTime": 1010_000,
    }
    if final is not None:
        result["finalMetricData"] = [metric(number, "FINAL", measured, final)]
    return result


def metric(number: int, kind: str, parameter_id: int, value: Any, timestamp: int = 1) -> dict:
    return {
        "trialJobId": f"trial{number}",
        "type": kind,
        "parameterId": str(parameter_id),
        "timestamp": timestamp,
        "data": json.dumps(json.dumps(value)),
    }


def test_swapped_parameters_are_put_right() -> None:
    jobs = [
        job(0, "SUCCEEDED", 0, 10, {"default": 0.5}, measured=1),
        job(1, "SUCCEEDED", 1, 11, {"default": 0.7}, measured=0),
    ]
    first, second = trial_records(jobs, [])
    assert (first.parameters, second.parameters) == ({"seed": 11}, {"seed": 10})
    assert (first.reached, second.reached) == (0.5, 0.7)


def test_running_trials_use_their_intermediate_reports() -> None:
    jobs = [job(1, "RUNNING", 1, 11), job(0, "RUNNING", 0, 10)]
    metrics = [
        metric(0, "PERIODICAL", 1, {"default": 0.2, "epoch": 2}, timestamp=5),
        metric(0, "PERIODICAL", 1, {"default": 0.1, "epoch": 1}, timestamp=4),
    ]
    first, second = trial_records(jobs, metrics)
    assert first.parameters == {"seed": 11}
    assert first.reached == 0.2
    assert second.parameters == {"seed": 11}  # nothing measured yet: as NNI says
    assert second.reached is None


def test_plain_numbers_and_failures() -> None:
    first, second = trial_records([job(0, "SUCCEEDED", 0, 1, 0.25), job(1, "FAILED", 1, 2)], [])
    assert first.succeeded
    assert first.final == {"default": 0.25}
    assert second.ended
    assert not second.succeeded


def test_success_without_a_result_is_none() -> None:
    assert not trial_records([job(0, "SUCCEEDED", 0, 1)], [])[0].succeeded


@pytest.fixture
def file(tmp_path) -> ExperimentFile:
    return ExperimentFile(tmp_path, "name", tmp_path, max_trials=4, concurrency=1, ends=True, local=True)


def test_time_left_from_finished_trials(file: ExperimentFile) -> None:
    done = TrialRecord("a", 0, "SUCCEEDED", {}, final={"default": 0.5}, start=0.0, finish=10.0)
    running = TrialRecord("b", 1, "RUNNING", {}, latest={"default": 0.25, "epoch": 3}, start=10.0)
    assert seconds_left(file, [done, running], now=14.0) == pytest.approx(6 + 2 * 10)
    line = status_line(file, [done, running], elapsed=14.0, now=14.0)
    assert line.startswith("1/4 done, 1 running, 0 failed, trial 1: epoch 3 25.0%, 14s elapsed, about 26s left")


def test_time_left_from_epochs_before_any_trial_has_finished(file: ExperimentFile) -> None:
    running = TrialRecord("b", 0, "RUNNING", {}, latest={"default": 0.2, "epoch": 2, "epochs": 4}, start=0.0)
    assert seconds_left(file, [running], now=10.0) == pytest.approx(10 + 3 * 20)
    assert seconds_left(file, [], now=10.0) is None
