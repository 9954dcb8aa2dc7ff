"""Which Lightning module trains a network: that of the data's task, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from snas_nni.errors import SettingError
from trials.data.types import TaskData
from trials.settings.retrain import RetrainTrainingSettings
from trials.settings.search import TrainingSettings
from trials.tasks.own import OwnTask
from trials.training.distillation import Distillation
from trials.training.retraining import RetrainTraining
from trials.training.task_training import TaskTraining

__all__ = ["class_weights", "retraining_module", "training_module"]


def training_module(
    data: TaskData,
    settings: TrainingSettings,
    distillation: Distillation | None = None,
    changed: Mapping[str, Any] | None = None,
) -> Any:
    """Make the module of a search.

    Args:
        data: with its task.
        settings: of the training.
        distillation: a teacher; None for none.
        changed: settings in place of those.

    Raises:
        SettingError: a setting does not fit the task.
    """
    _check_teacher(data, distillation)
    if isinstance(data.task, OwnTask):
        return data.task.module()
    arguments = {**asdict(settings), **(changed or {})}
    arguments.pop("task")
    weights = class_weights(data, arguments.pop("class_weights"))
    module = TaskTraining(data.task, class_weights=weights, **arguments)
    module.distillation = distillation
    return module


def retraining_module(
    data: TaskData, settings: RetrainTrainingSettings, distillation: Distillation | None = None
) -> Any:
    """Make the module of a retraining.

    Args:
        data: with its task.
        settings: of the training.
        distillation: a teacher; None for none.

    Raises:
        SettingError: a setting does not fit the task.
    """
    _check_teacher(data, distillation)
    if isinstance(data.task, OwnTask):
        return data.task.module()
    if (settings.mixup or settings.cutmix) and (data.task.name != "classification" or len(data.input_shape) != 3):
        raise SettingError(
            "training.mixup and training.cutmix mix images that have one class each, but this data has inputs of "
            f"shape {data.input_shape} and the task {data.task.name}; set both to 0"
        )
    module = RetrainTraining(data.task, settings, class_weights(data, settings.class_weights))
    module.distillation = distillation
    return module


def _check_teacher(data: TaskData, distillation: Distillation | None) -> None:
    if distillation is None:
        return
    if isinstance(data.task, OwnTask):
        raise SettingError(
            "distillation.teacher: a module of your own (evaluator.class_path) has a loss of its own, and the "
            "teacher belongs in it; leave one of the two out"
        )
    if data.task.name != "classification":
        raise SettingError(f"distillation.teacher: teachers have classes, but training.task is {data.task.name}")


def class_weights(data: TaskData, setting: list[float] | str | None) -> Tensor | None:
    """Return the weights of the classes in the training loss, shape ``(classes,)``; None for equal ones.

    Raises:
        SettingError: the task has no classes, or there are other than so many weights.
    """
    if setting is None:
        return None
    balanced = data.task.class_weights(data.train.labels)  # refuses a task without classes
    if isinstance(setting, str):
        return balanced
    if len(setting) != data.classes:
        raise SettingError(
            f"training.class_weights has {len(setting)} numbers, but the data has {data.task.count_in_words} "
            f"({', '.join(data.class_names[:8])}{', ...' * (data.classes > 8)})"
        )
    return torch.tensor(setting, dtype=torch.float32)
