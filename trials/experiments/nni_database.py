"""An experiment that ``nnictl create`` started, read from the database that NNI keeps in its folder.

``snas-nni launch`` leaves ``experiment.json``; with ``nnictl`` alone there is only NNI's own ``db/nni.sqlite``. It is
opened for reading, so that an experiment that runs can be reported on.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.experiments.trial_records import trial_records

__all__ = ["DATABASE", "experiment_document"]

DATABASE = Path("db") / "nni.sqlite"
_ENDS = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


def experiment_document(folder: Path) -> dict[str, Any]:
    """Return what ``experiment.json`` would say of an experiment.

    Args:
        folder: of the experiment, ``experimentWorkingDirectory/ID``.

    Raises:
        SettingError: the database cannot be read.
    """
    path = (folder / DATABASE).resolve()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            events = database.execute(
                "SELECT timestamp, trialJobId, event, data, logPath, sequenceId FROM TrialJobEvent ORDER BY rowid"
            ).fetchall()
            metrics = database.execute(
                "SELECT timestamp, trialJobId, parameterId, type, sequence, data FROM MetricData"
            ).fetchall()
            (params, duration) = database.execute(
                "SELECT params, execDuration FROM ExperimentProfile ORDER BY revision DESC LIMIT 1"
            ).fetchone() or ("{}", None)
        names = ("timestamp", "trialJobId", "parameterId", "type", "sequence", "data")
        reported = [dict(zip(names, row, strict=True)) for row in metrics]
        trials = trial_records(_jobs(events, reported), reported)
        profile = json.loads(params)
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{path}: not the database of an NNI experiment: {readable(str(error), 200)}") from error
    best = max((trial for trial in trials if trial.succeeded), key=lambda trial: trial.rank, default=None)
    return {
        "id": folder.resolve().name,
        "name": str(profile.get("experimentName") or ""),
        "status": "DONE" if trials and all(trial.ended for trial in trials) else "RUNNING",
        "seconds": duration,
        "best": None if best is None else best.id,
        "trials": [{**asdict(trial), "folder": trial.place or str(trial.folder(folder.resolve()))} for trial in trials],
    }


def _jobs(events: list[tuple[Any, ...]], metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put a trial's events together as NNI's manager does when it is asked for ``trial-jobs``."""
    jobs: dict[str, dict[str, Any]] = {}
    for timestamp, trial, event, data, place, number in events:
        job = jobs.setdefault(trial, {"trialJobId": trial, "hyperParameters": [], "sequenceId": number})
        job["status"] = {"ADD_CUSTOMIZED": "WAITING"}.get(event, event)
        if data:
            job["hyperParameters"].append(data)
        if place:
            job["logPath"] = place
        if event == "RUNNING":
            job.setdefault("startTime", timestamp)
        if event in _ENDS:
            job["endTime"] = timestamp
    for metric in metrics:
        if metric["type"] == "FINAL" and metric["trialJobId"] in jobs:
            jobs[metric["trialJobId"]].setdefault("finalMetricData", []).append(metric)
    return list(jobs.values())
