"""Which network the settings mean as a teacher: the one that a space was made from, one of a run, or a user's own.

The supernet of a search is found elsewhere: it is there after the search, or in its checkpoints.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from exports import build
from search_spaces.from_model import FromModel
from search_spaces.from_model.given import constructor_from, made_by
from snas_nni.errors import SettingError
from trials.data.loaders import input_example
from trials.data.types import TaskData
from trials.runs.components import make_space
from trials.runs.retrain_child import find_architecture
from trials.settings.search import SpaceSettings
from trials.settings.tuning import DistillationSettings
from trials.settings.user_code import import_dotted
from trials.training.distillation import Distillation
from trials.training.features import Features

__all__ = ["ORIGINAL", "SUPERNET", "TEACHER", "distillation_from", "find_distillation", "original_network"]

ORIGINAL = "original"
SUPERNET = "supernet"
TEACHER = "distillation.teacher"


def find_distillation(settings: DistillationSettings, space: SpaceSettings, data: TaskData) -> Distillation | None:
    """Return the teacher of a run; None where the settings name none, or the supernet, which is no file.

    Args:
        settings: name it.
        space: of the run; its code may be imported for a teacher from another run too.
        data: the splits.

    Raises:
        SettingError: there is no such network, or it does not fit the data.
        ArchitectureFileError: the run's network cannot be built.
    """
    name = settings.teacher
    if name is None or name == SUPERNET:
        return None
    path = Path(name).expanduser()
    if name == ORIGINAL:
        teacher = original_network(space, data)
    elif path.exists():
        named = [each for each in (space.class_path, space.init_args.get("model")) if isinstance(each, str)]
        teacher = build(find_architecture(str(path)), spaces=named)
    else:
        make = import_dotted(name, TEACHER, (ORIGINAL, SUPERNET))
        try:
            teacher = made_by(make, {}, settings.weights)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise SettingError(f"{TEACHER}: {name!r} cannot make it: {error}") from error
    return distillation_from(teacher, settings, data)


def distillation_from(teacher: nn.Module, settings: DistillationSettings, data: TaskData) -> Distillation:
    """Return a network as the teacher that the settings ask for.

    Args:
        teacher: it is not trained from here on.
        settings: how much it counts, and which of its modules.
        data: the splits.

    Raises:
        SettingError: it does not fit the data.
    """
    _check(teacher, data)
    features = None
    if settings.features:
        features = Features(settings.features, settings.feature_weight, settings.feature_comparison)
    return Distillation(teacher.requires_grad_(False), settings.weight, settings.temperature, features)


def original_network(settings: SpaceSettings, data: TaskData) -> nn.Module:
    """Return the network that a space was made from, with its weights.

    Raises:
        SettingError: the space was not made from a network.
    """
    space = make_space(settings, data)
    if not isinstance(space, FromModel):
        raise SettingError(
            f"{TEACHER} is {ORIGINAL}, but {settings.class_path} was not made from a network; name another teacher"
        )
    given = space.trace_kwargs
    return made_by(constructor_from(given["model"]), given["arguments"], given["weights"])


def _check(teacher: nn.Module, data: TaskData) -> None:
    inputs = input_example(data).batch()
    try:
        with torch.no_grad():
            output = teacher.eval()(inputs)
    except Exception as error:
        raise SettingError(
            f"{TEACHER}: the teacher cannot run on inputs of shape {tuple(inputs.shape[1:])}: {error}"
        ) from error
    logits = output[0] if isinstance(output, tuple) else output
    if logits.shape[1:] != (data.classes,):
        raise SettingError(
            f"{TEACHER}: the teacher gives outputs of shape {tuple(logits.shape[1:])}, but the data has {data.classes} "
            "classes"
        )
