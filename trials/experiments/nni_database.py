"""An experiment that ``nnictl create`` started, read from the database that NNI keeps in its folder.

``snas-nni launch`` leaves ``experiment.json``; with ``nnictl`` alone there is only NNI's own ``db/nni.sqlite``. It is
opened for reading, so that an experiment that runs can be reported on.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.experiments.trial_records import TrialRecord, trial_records

__all__ = ["DATABASE", "experiment_document"]

MOST_BYTES, MOST_ROWS, MOST_SECONDS = 2**29, 2_000_000, 60.0
DATABASE = Path("db") / "nni.sqlite"
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What values of other kinds than NNI writes lead to."""
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
        with closing(_opened(path)) as database:
            events = _rows(database, "timestamp, trialJobId, event, data, logPath, sequenceId FROM TrialJobEvent")
            metrics = _rows(database, "timestamp, trialJobId, parameterId, type, sequence, data FROM MetricData")
            profiles = _rows(database, "params, execDuration, revision FROM ExperimentProfile")
        params, duration, _ = max(profiles, key=lambda row: float(row[2]), default=("{}", None, 0))
        names = ("timestamp", "trialJobId", "parameterId", "type", "sequence", "data")
        reported = [dict(zip(names, row, strict=True)) for row in metrics]
        return _document(folder, trial_records(_jobs(events, reported), reported), json.loads(params), duration)
    except (sqlite3.Error, OSError, *_NONSENSE) as error:
        raise SettingError(
            f"{readable(str(path), 300)}: not the database of an NNI experiment: {readable(str(error), 200)}"
        ) from error


def _document(folder: Path, trials: list[TrialRecord], profile: dict[str, Any], duration: Any) -> dict[str, Any]:
    best = max((trial for trial in trials if trial.succeeded), key=lambda trial: trial.rank, default=None)
    return {
        "id": folder.resolve().name,
        "name": str(profile.get("experimentName") or ""),
        "status": "DONE" if trials and all(trial.ended for trial in trials) else "RUNNING",
        "seconds": duration,
        "best": None if best is None else best.id,
        "trials": [{**asdict(trial), "folder": trial.place or str(trial.folder(folder.resolve()))} for trial in trials],
    }


def _opened(path: Path) -> sqlite3.Connection:
    """Open a database of unknown origin: read only, and no longer than a table of trials takes.

    Views may stand for rows without end or for functions; there are none in NNI's own.

    Raises:
        ValueError: it is too large.
        sqlite3.Error: it cannot be opened.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES // 2**20} MiB")
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    database.execute("PRAGMA trusted_schema = OFF")
    deadline = time.monotonic() + MOST_SECONDS
    database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    views = database.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchone()
    if views is not None:
        raise ValueError("it has views")
    return database


def _rows(database: sqlite3.Connection, what: str) -> list[tuple[Any, ...]]:
    rows = database.execute(f"SELECT {what} ORDER BY rowid LIMIT {MOST_ROWS + 1}").fetchall()
    if len(rows) > MOST_ROWS:
        raise ValueError(f"it has more than {MOST_ROWS:,} rows in one table")
    return rows


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
