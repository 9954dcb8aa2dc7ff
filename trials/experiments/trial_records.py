"""What NNI's manager knows about trials, put together rightly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from exports.metric import DecidingMetric, reported_metric
from trials.experiments.other_machines import place_of

__all__ = ["TrialRecord", "trial_records"]

RUNNING = ("RUNNING",)
# ADD_RESUMED is a trial of a resumed experiment before NNI has looked at it again.
WAITING = ("WAITING", "UNKNOWN", "ADD_RESUMED")


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        id: NNI's name of it.
        number: counted from 0.
        status: NNI's word: WAITING, RUNNING, SUCCEEDED, FAILED, USER_CANCELED, SYS_CANCELED, EARLY_STOPPED.
        parameters: those that its metrics were measured with.
        latest: the last intermediate report; empty before the first.
        final: the final report; empty without one.
        start: seconds since the epoch, None before it started.
        finish: seconds since the epoch, None before it ended.
        host: of the machine that it ran on, where NNI reached it by SSH.
        place: folder on that machine that NNI's runner of trials works in.
    """

    id: str
    number: int
    status: str
    parameters: dict[str, Any]
    latest: dict[str, Any] = field(default_factory=dict)
    final: dict[str, Any] = field(default_factory=dict)
    start: float | None = None
    finish: float | None = None
    host: str | None = None
    place: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it ended well and reported a result."""
        return self.status == "SUCCEEDED" and "default" in self.final

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.status in RUNNING

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status not in (*RUNNING, *WAITING)

    @property
    def metric(self) -> DecidingMetric:
        """The metric that the trial reports, and its direction."""
        return reported_metric(self.final, self.latest)

    @property
    def reached(self) -> float | None:
        """The child's value of the metric: the final one, or the latest so far."""
        value = self.final.get("default", self.latest.get("default"))
        return None if value is None else float(value)

    @property
    def rank(self) -> float:
        """The larger the better the child is; the lowest of all without a value."""
        return self.metric.rank(self.reached)

    @property
    def warnings(self) -> list[str]:
        """What it reported that a reader should be warned of."""
        reported = self.final.get("warnings")
        return [str(each) for each in reported] if isinstance(reported, list) else []

    @property
    def output(self) -> Path | None:
        """The folder with the trial's architecture, if it is on this machine."""
        reported = self.reported_output
        return Path(reported) if reported is not None and (Path(reported) / "architecture.json").is_file() else None

    @property
    def reported_output(self) -> PurePosixPath | None:
        """The folder with the trial's architecture on the machine that it ran on, as the trial reported it."""
        reported = self.final.get("output")
        return PurePosixPath(reported) if isinstance(reported, str) and reported.startswith("/") else None

    def folder(self, experiment_folder: Path) -> Path:
        """Return where NNI keeps the trial's own files, for the local training service."""
        return experiment_folder / "environments" / "local-env" / "trials" / self.id


def trial_records(jobs: Iterable[Mapping[str, Any]], metrics: Iterable[Mapping[str, Any]]) -> list[TrialRecord]:
    """Join trials, parameters and metrics.

    With trials side by side, NNI hands parameters out in the order in which trials ask and not to the trial they
    were made for. A trial's ``hyperParameters`` can be another's; the id in its metrics is the right one.

    Args:
        jobs: the answer to ``trial-jobs``.
        metrics: the answer to ``metric-data``.
    """
    jobs = list(jobs)
    made: dict[int, dict[str, Any]] = {}
    for job in jobs:
        for text in job.get("hyperParameters") or []:
            record = json.loads(text)
            made[int(record["parameter_id"])] = record["parameters"]
    by_trial: dict[str, list[Mapping[str, Any]]] = {}
    for metric in metrics:
        by_trial.setdefault(metric["trialJobId"], []).append(metric)
    records = [_record(job, by_trial.get(job["trialJobId"], []), made) for job in jobs]
    return sorted(records, key=lambda record: record.number)


def _record(
    job: Mapping[str, Any], metrics: list[Mapping[str, Any]], made: Mapping[int, dict[str, Any]]
) -> TrialRecord:
    reports = sorted(metrics, key=lambda metric: metric["timestamp"])
    final = [metric for metric in (job.get("finalMetricData") or []) if metric.get("data")]
    periodic = [metric for metric in reports if metric["type"] == "PERIODICAL"]
    measured = (final or periodic)[-1:]
    own = [json.loads(text)["parameters"] for text in (job.get("hyperParameters") or [])]
    parameters = made.get(int(measured[0]["parameterId"])) if measured else None
    host, place = place_of(job.get("logPath")) or (None, None)
    return TrialRecord(
        id=job["trialJobId"],
        number=int(job["sequenceId"]),
        status=job["status"],
        parameters=parameters if parameters is not None else (own[-1] if own else {}),
        latest=metric_value(periodic[-1]["data"]) if periodic else {},
        final=metric_value(final[-1]["data"]) if final else {},
        start=_seconds(job.get("startTime")),
        finish=_seconds(job.get("endTime")),
        host=host,
        place=place,
    )


def metric_value(data: str) -> dict[str, Any]:
    """Decode a metric, which is JSON inside JSON, to a dictionary with ``default``."""
    value = json.loads(data)
    if isinstance(value, str):
        value = json.loads(value)
    return value if isinstance(value, dict) else {"default": value}


def _seconds(milliseconds: Any) -> float | None:
    return None if milliseconds is None else float(milliseconds) / 1000
