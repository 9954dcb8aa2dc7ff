"""The child that is retrained: an architecture's choices in its space at another size, new or inherited weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import nn

from exports import PUBLISHED, Architecture, ArchitectureFileError, load, published
from exports.rebuilding.build import recorded_weights
from exports.rebuilding.check_sample import checked_sample, make_space
from exports.rebuilding.find_space import find_space
from exports.rebuilding.weights import read_weights, room_for
from snas_nni.derivation.child import build_child
from snas_nni.errors import SettingError
from trials.data.types import TaskData
from trials.runs.components import DECIDED_BY_DATA, constructor_arguments
from trials.settings.retrain import ChildSettings

__all__ = ["Inherited", "RetrainedChild", "build_for", "find_architecture", "inherit_weights"]


@dataclass(frozen=True)
class RetrainedChild:
    """A child and what it is made of.

    Attributes:
        space: the model space at its new size, without memory for weights.
        sample: the NNI sample, ``{label: value}``.
        child: the network, on the CPU.
    """

    space: ModelSpace
    sample: dict[str, Any]
    child: nn.Module


@dataclass(frozen=True)
class Inherited:
    """Names of tensors: taken from the weights file, new in the child, and in the file only."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.taken)} tensors inherited"
        for words, names in (("new", self.new), ("of the file not used", self.unused)):
            if names:
                text += f", {len(names)} {words} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        return text


def find_architecture(name: str) -> Architecture:
    """Load an architecture file, that of a result folder, or published cells by their name.

    Raises:
        SettingError: the name is empty.
        ArchitectureFileError: the file cannot be read or is not valid.
    """
    if not name:
        raise SettingError(f"architecture is missing: give an architecture.json, or one of {', '.join(PUBLISHED)}")
    path = Path(name).expanduser()
    if name in PUBLISHED and not path.is_file():
        return published(name)
    return load(path / "architecture.json" if path.is_dir() else path)


def build_for(architecture: Architecture, settings: ChildSettings, data: TaskData) -> RetrainedChild:
    """Build the architecture's child with new weights, at its space's arguments as the settings change them.

    Raises:
        SettingError: the space's constructor has no such argument or refuses it, or the space has other choices
            with it.
        ArchitectureFileError: the space may not be imported, or does not take the recorded sample.
    """
    recorded = architecture.space.arguments
    # Code that an argument names is the user's choice where the user gave the argument.
    given = [text for text in settings.init_args.values() if isinstance(text, str)]
    named = [text for text in given if all(part.isidentifier() for part in text.split("."))]
    spaces = named if settings.class_path is None else [settings.class_path, *named]
    space_class = find_space(architecture.space.class_path, {**recorded, **settings.init_args}, spaces)
    kept = {name: value for name, value in recorded.items() if name not in DECIDED_BY_DATA}
    arguments = constructor_arguments(space_class, {**kept, **settings.init_args}, data)
    try:
        space = make_space(space_class, arguments)
    except ArchitectureFileError as error:
        raise SettingError(f"space.init_args: {error.problem}") from error
    try:
        sample = checked_sample(space, architecture.sample)
    except ArchitectureFileError as error:
        _check_labels(make_space(space_class, recorded), space, settings.init_args)
        raise error.in_file(architecture.file) from error
    return RetrainedChild(space, sample, build_child(space_class, arguments, sample))


def _check_labels(recorded: ModelSpace, space: ModelSpace, changed: Mapping[str, Any]) -> None:
    before, now = set(recorded.simplify()), set(space.simplify())
    if before == now:
        return
    parts = [
        f"{words} {len(labels)} ({', '.join(sorted(labels)[:3])}{', ...' * (len(labels) > 3)})"
        for words, labels in (("lacks", before - now), ("has in addition", now - before))
        if labels
    ]
    raise SettingError(
        f"space.init_args: {type(space).__name__} changes its choices with {', '.join(changed) or 'this data'}: "
        f"compared with the architecture's it {' and '.join(parts)}. Keep the arguments that decide on choices"
    )


def inherit_weights(child: nn.Module, architecture: Architecture) -> Inherited:
    """Put the architecture's recorded weights into a child that may have tensors of its own as well.

    Args:
        child: changed in place.
        architecture: loaded from a file, with weights beside it.

    Raises:
        SettingError: a tensor has another shape in the file, or the two have no name in common.
        ArchitectureFileError: there are no weights, or not those that were recorded.
    """
    own = child.state_dict()
    try:
        given = read_weights(recorded_weights(architecture), architecture.sha256, limit=room_for(own))
    except ArchitectureFileError as error:
        raise error.in_file(architecture.file) from error
    differing = [name for name in own if name in given and own[name].shape != given[name].shape]
    if differing:
        name = differing[0]
        raise SettingError(
            f"weights: cannot inherit: {len(differing)} tensors have another shape, such as {name}, "
            f"{tuple(given[name].shape)} in the file and {tuple(own[name].shape)} here. Leave out the arguments in "
            "space.init_args that change sizes, or set weights: new"
        )
    taken = tuple(name for name in own if name in given)
    if not taken:
        raise SettingError("weights: cannot inherit: the file and the child have no tensor name in common")
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return Inherited(
        taken,
        new=tuple(name for name in own if name not in given),
        unused=tuple(name for name in given if name not in own),
    )
