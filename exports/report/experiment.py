"""An NNI experiment of many runs, read from the experiment.json that its launch wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.metric import DecidingMetric, reported_metric
from exports.report.numbers import as_mapping, as_number
from exports.report.run import Run, read_json, read_run
from exports.run_folder import RUN_FILES

__all__ = ["EXPERIMENT_FILE", "Experiment", "Trial", "read_experiment"]

EXPERIMENT_FILE = "experiment.json"


@dataclass(frozen=True)
class Trial:
    """One trial: what the experiment says of it, and its run if that is on this machine."""

    id: str
    number: int
    status: str
    parameters: Mapping[str, Any]
    final: Mapping[str, Any]
    latest: Mapping[str, Any]
    seconds: float | None
    run: Run | None

    @property
    def accuracy(self) -> float | None:
        """The child's value of the metric on validation data: the final one, or the last one reported."""
        final = as_number(self.final.get("default"))
        return as_number(self.latest.get("default")) if final is None else final

    @property
    def metric(self) -> DecidingMetric:
        """The metric that the trial reports, and its direction."""
        return reported_metric(self.final, self.latest)

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status == "SUCCEEDED" and as_number(self.final.get("default")) is not None

    def cost(self, name: str) -> float | None:
        """Return ``parameters`` or ``macs`` of the child."""
        reported = as_number(self.final.get(name))
        if reported is None and self.run is not None:
            return self.run.parameters if name == "parameters" else self.run.metrics.get(name)
        return reported


@dataclass(frozen=True)
class Experiment:
    """All trials, best child first; those without a result last."""

    id: str
    name: str
    status: str
    seconds: float | None
    trials: tuple[Trial, ...]
    best: Trial | None
    folder: Path
    problems: tuple[str, ...] = ()


def read_experiment(folder: Path) -> Experiment:
    """Read an experiment's folder.

    Raises:
        OSError: its experiment.json cannot be read.
        ValueError: it is not JSON, or not an object.
    """
    document = read_json(folder / EXPERIMENT_FILE)
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    best_id = document.get("best")
    listed = document.get("trials")
    trials = [
        _trial(as_mapping(entry), index, folder / "best" if _names(entry, best_id) else None)
        for index, entry in enumerate(listed if isinstance(listed, list) else [])
    ]
    trials.sort(key=lambda trial: (not trial.succeeded, -trial.metric.rank(trial.accuracy), trial.number))
    gone = sorted(trial.number for trial in trials if trial.succeeded and trial.run is None)
    problems = [f"trial {gone[0]}: its run's folder is not on this machine"] if len(gone) == 1 else []
    if len(gone) > 1:
        problems = [f"trials {', '.join(map(str, gone))}: their runs' folders are not on this machine"]
    if not trials:
        problems.append("the experiment has no trials")
    return Experiment(
        id=str(document.get("id") or folder.name),
        name=str(document.get("name") or ""),
        status=str(document.get("status") or "unknown"),
        seconds=as_number(document.get("seconds")),
        trials=tuple(trials),
        best=next((trial for trial in trials if trial.id == best_id and best_id is not None), None),
        folder=folder,
        problems=tuple(problems),
    )


def _names(entry: object, best_id: object) -> bool:
    return best_id is not None and as_mapping(entry).get("id") == best_id


def _trial(entry: Mapping[str, Any], index: int, copy: Path | None) -> Trial:
    final, number = as_mapping(entry.get("final")), as_number(entry.get("number"))
    start, finish = as_number(entry.get("start")), as_number(entry.get("finish"))
    # The copy lies beside experiment.json and goes along when the folder is moved.
    folders = [copy, final.get("output"), entry.get("folder")]
    found = next((Path(folder) for folder in folders if folder is not None and _is_run(folder)), None)
    return Trial(
        id=str(entry.get("id", index)),
        number=index if number is None else int(number),
        status=str(entry.get("status") or "unknown"),
        parameters=as_mapping(entry.get("parameters")),
        final=final,
        latest=as_mapping(entry.get("latest")),
        seconds=finish - start if start is not None and finish is not None else None,
        run=read_run(found) if found is not None else None,
    )


def _is_run(folder: object) -> bool:
    if not isinstance(folder, (str, Path)) or "\0" in str(folder):
        return False
    return any((Path(folder) / name).is_file() for name in RUN_FILES)
