"""Lightning's loggers by name, which go on with the same run when a search does, and get what it found."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, readable, reason_of, write_atomically
from trials.settings.run import LOGGERS, logger_names

__all__ = ["log_result", "loggers_of"]

IDS: Final = "loggers.json"
"""File of the run's folder that names the runs which loggers keep elsewhere, so that a resumed one goes on in them."""

PROJECT: Final = "snas-nni"
ARTIFACTS: Final = ("architecture.json", "weights.safetensors", "model.onnx", "report.html")


def loggers_of(names: str | None, output: Path, from_step: int, settings: Mapping[str, Any]) -> list[Logger]:
    """Make the loggers of a run.

    Args:
        names: as of the setting ``logger``; None for TensorBoard where it is installed.
        output: folder of the run.
        from_step: batches that an earlier part of the run has done; what was logged after it comes again.
        settings: plain values of the run, which loggers keep as its parameters.

    Raises:
        SettingError: a package is missing; the message names the extra. Or a logger cannot begin.
    """
    if names is None:
        with contextlib.suppress(ModuleNotFoundError):  # an optional extra; metrics.csv has the same
            return [_tensorboard(output, from_step, {})]
        return []
    ids = _read_ids(output)
    made: list[Logger] = []
    for name in logger_names(names):
        known = name in ids or from_step > 0
        try:
            logger = _MAKERS[name](output, from_step, ids)
            if not known:  # parameters of a run are written once
                logger.log_hyperparams(dict(settings))
        except ModuleNotFoundError as error:
            extra = LOGGERS[name]
            raise SettingError(
                f"logger: {name} needs the package {readable(str(error.name or name))}, which is not installed: "
                f"pip install 'snas-nni[{extra or name}]'"
            ) from error
        except Exception as error:  # of a server, an account, a disk: whatever the package raises
            raise SettingError(f"logger: {name} cannot begin: {readable(str(error), 300)}") from error
        made.append(logger)
    if ids:
        write_atomically(output / IDS, (json.dumps(ids, indent=2) + "\n").encode())
    return made


def log_result(loggers: Sequence[Logger], output: Path, metrics: Mapping[str, float]) -> list[str]:
    """Give every logger the numbers of the end and, where it keeps files, the architecture, the child and the report.

    Args:
        loggers: of the run.
        output: its folder, with its results; the report is written where one of the loggers keeps files.
        metrics: what was measured at the end, by name; loggers get them as ``result/NAME``.

    Returns:
        What did not succeed, a sentence each: a result is not lost because a server is gone.
    """
    problems = []
    for logger in loggers:
        name = type(logger).__name__.removesuffix("Logger")
        try:
            logger.log_metrics({f"result/{key}": float(value) for key, value in metrics.items()})
            if isinstance(logger, HeldBack):
                logger.release()
            if isinstance(logger, (MLFlowLogger, WandbLogger)):
                _log_files(logger, _files(output))
            logger.save()
        except Exception as error:
            problems.append(f"{name} did not take the result: {readable(str(error), 200)}")
    return problems


def _files(output: Path) -> list[Path]:
    from exports.report import write_report

    write_report(output)
    return [output / name for name in ARTIFACTS if (output / name).is_file()]


def _log_files(logger: MLFlowLogger | WandbLogger, files: Sequence[Path]) -> None:
    if isinstance(logger, MLFlowLogger):
        for file in files:
            logger.experiment.log_artifact(logger.run_id, str(file))
        return
    import wandb

    found = wandb.Artifact(f"result-{logger.experiment.id}", type="model")
    for file in files:
        found.add_file(str(file))
    logger.experiment.log_artifact(found)
    logger.experiment.finish()


class HeldBack(Logger):
    """Gives a logger that takes nothing back the numbers of steps only once a checkpoint has these steps.

    A run that is cut goes on from its last checkpoint, and what it had done since comes again.
    """

    _held: list[tuple[Mapping[str, float], int | None]]

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hold numbers back."""
        self.__dict__.setdefault("_held", []).append((dict(metrics), step))

    def release(self) -> None:
        """Log what was held back."""
        held = self.__dict__.get("_held", [])
        while held:
            super().log_metrics(*held.pop(0))

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log what was held back: the run will not do it again."""
        self.release()
        super().after_save_checkpoint(checkpoint_callback)

    def finalize(self, status: str) -> None:
        """Log the rest, or forget it where the run was cut."""
        if status == "success":
            self.release()
        self.__dict__["_held"] = []
        super().finalize(status)


class MLFlow(HeldBack, MLFlowLogger):
    """Lightning's logger for MLflow."""


class Wandb(HeldBack, WandbLogger):
    """Lightning's logger for Weights & Biases."""


class _Csv(CSVLogger):
    """Lightning's CSV files in the run's folder; those of the part before a cut are kept, which Lightning deletes."""

    def __init__(self, output: Path, from_step: int) -> None:
        super().__init__(save_dir=output, name="", version="csv")
        file = output / "csv" / "metrics.csv"
        rows: list[dict[str, Any]] = []
        if from_step and file.is_file():
            with file.open(newline="", encoding="utf-8") as stream:
                rows = [row for row in csv.DictReader(stream) if float(row["step"] or 0) < from_step]
        self._kept = rows

    @property
    def experiment(self) -> Any:
        """Lightning's writer of the file."""
        writer = super().experiment
        writer.metrics, self._kept = [*self._kept, *writer.metrics], []
        return writer


def _tensorboard(output: Path, from_step: int, ids: dict[str, str]) -> Logger:
    logger: Logger = TensorBoardLogger(
        save_dir=output, name="", version="tensorboard", purge_step=from_step or None, default_hp_metric=False
    )
    return logger


def _csv(output: Path, from_step: int, ids: dict[str, str]) -> Logger:
    logger: Logger = _Csv(output, from_step)
    return logger


def _mlflow(output: Path, from_step: int, ids: dict[str, str]) -> Logger:
    store = os.environ.get("MLFLOW_TRACKING_URI")
    if store is None:
        store = (Path.cwd() / "mlruns").as_uri()
        # MLflow 3 wants to be told that a folder is meant: its larger package has a database instead.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
    logger = MLFlow(name, run_name=output.name, tracking_uri=store, run_id=ids.get("mlflow"))
    run_id = logger.run_id  # None in the processes that train beside the first one
    if run_id is not None:
        if "mlflow" in ids:
            logger.experiment.update_run(run_id, "RUNNING")
        ids["mlflow"] = run_id
    made: Logger = logger
    return made


def _wandb(output: Path, from_step: int, ids: dict[str, str]) -> Logger:
    ids.setdefault("wandb", secrets.token_hex(4))
    # Without an account it writes files for `wandb sync`; WANDB_MODE and WANDB_PROJECT are its own settings.
    logger: Logger = Wandb(
        name=output.name,
        save_dir=output,
        id=ids["wandb"],
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        resume="allow",
    )
    return logger


_MAKERS: Final[Mapping[str, Callable[[Path, int, dict[str, str]], Logger]]] = {
    "tensorboard": _tensorboard,
    "csv": _csv,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


def _read_ids(output: Path) -> dict[str, str]:
    path = output / IDS
    if not path.is_file():
        return {}
    try:
        ids = parse_json(read_bounded(path, 2**16))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read: {reason_of(error, 200)}") from error
    if not isinstance(ids, dict) or not all(isinstance(each, str) and each.isalnum() for each in ids.values()):
        raise SettingError(f"{path}: must hold the names of runs, not {readable(ids)}")
    return ids
