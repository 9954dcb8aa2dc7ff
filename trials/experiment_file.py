"""NNI experiment files, checked before anything is started."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from nni.experiment.config import ExperimentConfig
from nni.experiment.config.utils import unset_base_path
from nni.tools.package_utils import get_algo_meta, get_all_algo_meta

from snas_nni.errors import SettingError

__all__ = ["ExperimentFile", "read_experiment_file"]


@dataclass(frozen=True)
class ExperimentFile:
    """What the launcher needs to know of an experiment file.

    Attributes:
        path: the file.
        name: of the experiment, for people.
        folder: where NNI keeps this file's experiments.
        max_trials: how many trials there will be; None for no limit.
        concurrency: how many run at once.
        ends: whether the experiment comes to an end by itself.
        local: whether its trials run on this machine.
    """

    path: Path
    name: str
    folder: Path
    max_trials: int | None
    concurrency: int
    ends: bool
    local: bool


def read_experiment_file(path: str | Path) -> ExperimentFile:
    """Read and check an experiment file.

    Raises:
        SettingError: the file cannot be read, is not YAML, or NNI refuses it; the message has NNI's reason.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise SettingError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path}: not an NNI experiment file, which has keys like trialCommand and tuner")
    config = _checked_by_nni(path)
    service = config.training_service
    return ExperimentFile(
        path=path.resolve(),
        name=config.experiment_name or path.stem,
        folder=Path(config.experiment_working_directory),
        max_trials=config.max_trial_number,
        concurrency=config.trial_concurrency,
        ends=config.max_trial_number is not None or config.max_experiment_duration is not None,
        local=getattr(service, "platform", None) == "local",
    )


def _checked_by_nni(path: Path) -> Any:
    try:
        # NNI checks with assertions and whatever else its parsers raise.
        config = ExperimentConfig.load(path).canonical_copy()
        config.validate()
        if config.tuner.code_directory is None and get_algo_meta(config.tuner.name) is None:
            known = ", ".join(sorted(meta.name for meta in get_all_algo_meta() if meta.algo_type == "tuner"))
            raise ValueError(f"there is no tuner {config.tuner.name!r}; there are {known}")
    except Exception as error:
        unset_base_path()  # NNI leaves it set, which would break the next file
        # NNI's assertions have no words; the line that failed says what was expected.
        reason = " ".join(str(error).split()) or traceback.extract_tb(error.__traceback__)[-1].line
        raise SettingError(f"{path}: NNI does not accept it: {reason}") from error
    return config
