"""Which network the settings mean as a teacher: the one that a space was made from, one of a run, or a user's own."""

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

__all__ = ["ORIGINAL", "find_distillation", "original_network"]

ORIGINAL = "original"
_KEY = "distillation.teacher"


def find_distillation(settings: DistillationSettings, space: SpaceSettings, data: TaskData) -> Distillation | None:
    """Return the teacher of a run; None where the settings name none.

    Args:
        settings: name it.
        space: of the run; its code may be imported for a teacher from another run too.
        data: the splits.

    Raises:
        SettingError: there is no such network, or it does not fit the data.
        ArchitectureFileError: the run's network cannot be built.
    """
    name = settings.teacher
    if name is None:
        return None
    path = Path(name).expanduser()
    if name == ORIGINAL:
        teacher = original_network(space, data)
    elif path.exists():
        named = [each for each in (space.class_path, space.init_args.get("model")) if isinstance(each, str)]
        teacher = build(find_architecture(str(path)), spaces=named)
    else:
        make = import_dotted(name, _KEY, (ORIGINAL,))
        try:
            teacher = made_by(make, {}, settings.weights)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise SettingError(f"{_KEY}: {name!r} cannot make it: {error}") from error
    _check(teacher, data)
    return Distillation(teacher.requires_grad_(False), settings.weight, settings.temperature)


def original_network(settings: SpaceSettings, data: TaskData) -> nn.Module:
    """Return the network that a space was made from, with its weights.

    Raises:
        SettingError: the space was not made from a network.
    """
    space = make_space(settings, data)
    if not isinstance(space, FromModel):
        raise SettingError(
            f"{_KEY} is {ORIGINAL}, but {settings.class_path} was not made from a network; name another teacher"
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
            f"{_KEY}: the teacher cannot run on inputs of shape {tuple(inputs.shape[1:])}: {error}"
        ) from error
    logits = output[0] if isinstance(output, tuple) else output
    if logits.shape[1:] != (data.classes,):
        raise SettingError(
            f"{_KEY}: the teacher gives outputs of shape {tuple(logits.shape[1:])}, but the data has {data.classes} "
            "classes"
        )
