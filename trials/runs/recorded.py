"""What a run's folder says of its data and its task, for commands that go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.settings.evaluator import EvaluatorSettings
from trials.settings.reader import checked_group
from trials.settings.run import DataSettings
from trials.settings.search import TrainingSettings
from trials.settings.sources import SOURCES

__all__ = ["recorded_data", "recorded_evaluator", "recorded_task", "recorded_training"]


def recorded_data(recorded: Mapping[str, Any], given: Mapping[str, Any], space: str | None, where: str) -> DataSettings:
    """Return the data settings of a run, with what is given in their place.

    Args:
        recorded: settings of the run, from a file.
        given: data settings that the user gave.
        space: dotted path that the user named, whose module may be imported.
        where: the file, for messages.

    Raises:
        SettingError: the source is code that nobody named, or a setting is wrong.
    """
    data = recorded.get("data")
    # A file alone does not decide whose code runs, nor where decoded images are written or what is downloaded.
    kept = {name: each for name, each in data.items() if name not in _NOT_TAKEN} if isinstance(data, dict) else {}
    source = kept.get("source")
    if (
        "source" not in given
        and (not isinstance(source, str) or source not in SOURCES)
        and not _is_named(source, space)
    ):
        raise SettingError(f"data.source: {where} records {readable(source)}; give the data with --data.source")
    return DataSettings(**{**checked_group(kept, DataSettings, f"{where}: settings.data"), **given})


_NOT_TAKEN = ("cache", "download")


def recorded_task(recorded: Mapping[str, Any], where: str) -> str:
    """Return what the network of a run was trained for.

    Raises:
        SettingError: there is no such task.
    """
    training = recorded.get("training")
    task = {"task": training["task"]} if isinstance(training, dict) and "task" in training else {}
    return TrainingSettings(**checked_group(task, TrainingSettings, f"{where}: settings.training")).task


def recorded_training(recorded: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how the weights of a search were trained, as far as a retraining can be told the same.

    Raises:
        SettingError: a setting is wrong.
    """
    training, search = recorded.get("training"), recorded.get("search")
    kept = {name: each for name, each in training.items() if name in _OF_WEIGHTS} if isinstance(training, dict) else {}
    size = search.get("batch_size") if isinstance(search, dict) else None
    checked = checked_group(kept, TrainingSettings, f"{where}: settings.training")
    return {**checked, **({"batch_size": size} if type(size) is int else {})}


_OF_WEIGHTS = ("optimizer", "optimizer_args", "learning_rate", "learning_rate_floor", "momentum", "weight_decay")


def recorded_evaluator(recorded: Mapping[str, Any], space: str | None, where: str) -> EvaluatorSettings:
    """Return the module of the user's own that trained a run, where there was one.

    Raises:
        SettingError: nobody named its code.
    """
    group = recorded.get("evaluator")
    evaluator = EvaluatorSettings(
        **checked_group(group if isinstance(group, dict) else {}, EvaluatorSettings, f"{where}: settings.evaluator")
    )
    if evaluator.class_path is not None and not _is_named(evaluator.class_path, space):
        raise SettingError(
            f"evaluator.class_path: {where} records {readable(evaluator.class_path)}, a module of the user's own that "
            "trained it; allow it to be imported with --space and the path of a class beside it"
        )
    return evaluator


def _is_named(path: object, space: str | None) -> bool:
    """Whether whoever named the space's module has named the one of a path too: it is imported anyway."""
    return space is not None and isinstance(path, str) and "." in path and path.split(".")[0] == space.split(".")[0]
