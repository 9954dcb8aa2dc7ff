"""NNI experiment files, checked before anything is started."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni.experiment.config import ExperimentConfig
from nni.experiment.config.utils import unset_base_path
from nni.tools.package_utils import get_algo_meta, get_all_algo_meta

from snas_nni.errors import SettingError
from snas_nni.files import readable
from snas_nni.plain_yaml import read_yaml
from trials.experiments.other_machines import RemoteMachine, machines_of, on_loopback

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
        optimize_mode: what the tuner does with the trials' metric, maximize or minimize; None for a tuner that does
            not ask for it.
        machines: those that its trials run on, where NNI reaches them by SSH.
        within: whether nothing outside this machine takes part: its trials are local, or all addresses are loopback's.
    """

    path: Path
    name: str
    folder: Path
    max_trials: int | None
    concurrency: int
    ends: bool
    local: bool
    optimize_mode: str | None = None
    machines: tuple[RemoteMachine, ...] = ()
    within: bool = True


def read_experiment_file(path: str | Path) -> ExperimentFile:
    """Read and check an experiment file.

    Raises:
        SettingError: the file cannot be read, is not plain YAML, or NNI refuses it; the message has NNI's reason.
    """
    path = Path(path)
    shown = readable(str(path), 300)
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise SettingError(f"{shown}: not an NNI experiment file, which has keys like trialCommand and tuner")
    by_name = {name.lower().replace("_", ""): value for name, value in content.items()}  # as NNI reads keys
    if by_name.get("experimenttype", "hpo") != "hpo":
        raise SettingError(f"{shown}: experimentType must be hpo: each trial of the experiment is a search of its own")
    _check_search_space_file(path, by_name.get("searchspacefile"))
    config = _checked_by_nni(path)
    local = getattr(config.training_service, "platform", None) == "local"
    machines = machines_of(config.training_service)
    if machines and not any(Path(config.trial_code_directory).iterdir()):
        raise SettingError(
            f"{shown}: trialCodeDirectory {readable(str(config.trial_code_directory), 200)} is empty, and NNI sends no "
            "empty folder to other machines; put the experiment file into it"
        )
    addresses = [config.nni_manager_ip, *(machine.host for machine in machines)]
    return ExperimentFile(
        path=path.resolve(),
        name=config.experiment_name or path.stem,
        folder=Path(config.experiment_working_directory),
        max_trials=config.max_trial_number,
        concurrency=config.trial_concurrency,
        ends=config.max_trial_number is not None or config.max_experiment_duration is not None,
        optimize_mode=_optimize_mode(config),
        local=local,
        machines=machines,
        within=local or (bool(machines) and all(on_loopback(address) for address in addresses)),
    )


def _optimize_mode(config: Any) -> str | None:
    """Return the tuner's direction; where the file does not say it, that of NNI's own tuner."""
    given = (config.tuner.class_args or {}).get("optimize_mode")
    if given is None and config.tuner.name not in (None, "GridSearch", "Random"):
        return "minimize" if config.tuner.name in ("TPE", "Anneal") else "maximize"
    return str(given) if given in ("maximize", "minimize") else None


def _check_search_space_file(path: Path, named: object) -> None:
    """Look at the file that NNI is going to read, which may be a device as well as a search space."""
    if isinstance(named, str):
        try:
            read_yaml(path.parent / Path(named).expanduser())  # JSON is YAML
        except (SettingError, RuntimeError) as error:
            raise SettingError(f"{readable(str(path), 300)}: searchSpaceFile: {error}") from error


def _checked_by_nni(path: Path) -> Any:
    shown = readable(str(path), 300)
    warnings = logging.getLogger("nni.experiment.config")
    level = warnings.level
    try:
        # NNI checks with assertions and whatever else its parsers raise.
        warnings.setLevel(logging.ERROR)
        config = ExperimentConfig.load(path).canonical_copy()
        config.validate()
        if config.tuner.code_directory is None and get_algo_meta(config.tuner.name) is None:
            known = ", ".join(sorted(meta.name for meta in get_all_algo_meta() if meta.algo_type == "tuner"))
            raise ValueError(f"there is no tuner {readable(config.tuner.name, 60)}; there are {known}")
    except Exception as error:
        # NNI's assertions have no words; the line that failed says what was expected.
        reason = " ".join(str(error).split()) or traceback.extract_tb(error.__traceback__)[-1].line
        raise SettingError(f"{shown}: NNI does not accept it: {readable(reason, 400)}") from error
    finally:
        warnings.setLevel(level)
        unset_base_path()  # NNI leaves it set after a failure, which would break the next file
    return config
