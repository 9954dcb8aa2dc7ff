"""What a run's folder says of its data and its task, for verbs that go on from it."""

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

__all__ = ["is_named", "recorded_data", "recorded_task", "recorded_training"]

_PLACES = ("cache", "download")
"""Settings of the data that a file alone does not decide: where decoded images go, and what is downloaded."""
_OF_WEIGHTS = (
    "optimizer", "optimizer_args", "learning_rate", "learning_rate_floor", "momentum", "weight_decay",
    "label_smoothing", "auxiliary_weight",
)  # fmt: skip


def is_named(path: object, space: str | None) -> bool:
    """Whether whoever named the space's module has named the one of a dotted path too: it is imported anyway."""
    return space is not None and isinstance(path, str) and "." in path and path.split(".")[0] == space.split(".")[0]


def recorded_data(
    settings: Mapping[str, Any], given: Mapping[str, Any], space: str | None, where: str
) -> dict[str, Any]:
    """Return the data settings of a run, checked; none where the user gave another source.

    Args:
        settings: of the run, as its architecture file records them.
        given: data settings that the user gave.
        space: dotted path of the space's class that the user gave, whose module may be imported; None for none.
        where: the file, for messages.

    Raises:
        SettingError: the source is a function of the user's own and its module was not named; or a setting is wrong.
    """
    kept = {name: value for name, value in _group(settings, "data").items() if name not in _PLACES}
    source = kept.get("source")
    if given.get("source", source) != source:
        return {}
    if "source" not in given and source not in SOURCES and not is_named(source, space):
        raise SettingError(
            f"data.source: the architecture file records {readable(source)}; give the data with --data.source"
        )
    return checked_group(kept, DataSettings, f"{where}: settings.data")


def recorded_task(settings: Mapping[str, Any], space: str | None, where: str) -> tuple[str, EvaluatorSettings]:
    """Return the task of a run, and the module of the user's own that trained it.

    Args:
        settings: of the run, as its architecture file records them.
        space: dotted path of the space's class that the user gave, whose module may be imported; None for none.
        where: the file, for messages.

    Raises:
        SettingError: such a module is recorded and was not named; or a setting is wrong.
    """
    task = {name: value for name, value in _group(settings, "training").items() if name == "task"}
    checked = checked_group(task, TrainingSettings, f"{where}: settings.training")
    recorded = checked_group(_group(settings, "evaluator"), EvaluatorSettings, f"{where}: settings.evaluator")
    evaluator = EvaluatorSettings(**recorded)
    if evaluator.class_path is not None and not is_named(evaluator.class_path, space):
        raise SettingError(
            f"evaluator.class_path: the architecture file records {readable(evaluator.class_path)}, a module of the "
            "user's own that trained it; allow it to be imported with --space and the path of a class beside it"
        )
    return TrainingSettings(**checked).task, evaluator


def recorded_training(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how the weights of a search were trained, as far as a retraining can be told the same.

    Raises:
        SettingError: a setting is wrong.
    """
    known = {name: value for name, value in _group(settings, "training").items() if name in _OF_WEIGHTS}
    checked = checked_group(known, TrainingSettings, f"{where}: settings.training")
    size = _group(settings, "search").get("batch_size")
    return {**checked, **({"batch_size": size} if type(size) is int else {})}


def _group(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    group = settings.get(name)
    return dict(group) if isinstance(group, dict) else {}
