"""Whether modules of a network can learn from those of its teacher: asked before anything is trained."""

from __future__ import annotations

import copy
import difflib
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import nn

from snas_nni.derivation.child import build_child
from snas_nni.distribution.choices import Choice, choice_of
from snas_nni.errors import SettingError
from trials.data.loaders import input_example
from trials.data.types import TaskData
from trials.runs.components import make_space
from trials.runs.teaching.teachers import SUPERNET, TEACHER
from trials.settings.search import RunSettings
from trials.training.distillation import Distillation
from trials.training.features import in_network, watching

__all__ = ["check_features", "check_names", "check_teaching"]

_KEY = "distillation.features"


def check_names(distillation: Distillation | None, network: nn.Module, whose: str = "the network") -> None:
    """Refuse names that a network, or the teacher, does not have.

    Args:
        distillation: the teacher; None for none.
        network: that learns; a space, of which the names are those of its child.
        whose: words for the network.

    Raises:
        SettingError: names the module, and those that are like it.
    """
    if distillation is None or distillation.features is None:
        return
    for mine, theirs in distillation.features.pairs.items():
        for owner, words, name in ((network, whose, mine), (distillation.teacher, "the teacher", theirs)):
            try:
                in_network(owner, name)
            except AttributeError:
                names = [each for each, _ in owner.named_modules() if each]
                like = difflib.get_close_matches(name, names, 3) or names[:8]
                raise SettingError(
                    f"{_KEY}: {words} has no module {name!r}; it has, among others, {', '.join(like)}"
                ) from None


def check_features(
    distillation: Distillation | None, network: nn.Module, data: TaskData, whose: str = "the network"
) -> None:
    """Run a copy of a network and its teacher on some inputs, and compare what their modules give.

    Args:
        distillation: the teacher; None for none.
        network: that learns.
        data: the splits.
        whose: words for the network.

    Raises:
        SettingError: a module does not exist or does not run, or its outputs cannot be compared with the teacher's.
    """
    if distillation is None or distillation.features is None:
        return
    check_names(distillation, network, whose)
    features, inputs = distillation.features, input_example(data).batch()
    copied = copy.deepcopy(network).cpu().eval()
    teacher = distillation.teacher.eval()
    with torch.no_grad(), watching(copied, features.pairs) as seen, watching(teacher, features.pairs.values()) as shown:
        copied(inputs)
        teacher(inputs.to(next(teacher.parameters()).device))
    for mine, theirs in features.pairs.items():
        if mine not in seen or theirs not in shown:
            words, name = (whose, mine) if mine not in seen else ("the teacher", theirs)
            raise SettingError(f"{_KEY}: module {name!r} of {words} does not run in a forward pass")
        if problem := features.problem(seen[mine], shown[theirs]):
            raise SettingError(f"{_KEY}: {mine!r} of {whose} and {theirs!r} of the teacher: {problem}")


def check_teaching(settings: RunSettings, distillation: Distillation | None, space: ModelSpace, data: TaskData) -> None:
    """Refuse what a search cannot be taught, before it begins.

    Two children are looked at: that of the first candidate of each choice, and that of the last one, which is the
    narrowest of a space from a network.

    Args:
        settings: of the search.
        distillation: the teacher; None for none, or for the supernet.
        space: that is searched.
        data: the splits.

    Raises:
        SettingError: a module of the features does not exist, or its outputs cannot be compared; or the supernet is the
            teacher of nothing.
    """
    if settings.distillation.teacher == SUPERNET:
        if not settings.tuning.epochs:
            raise SettingError(
                f"{TEACHER} is {SUPERNET}, which teaches the child when the search is over: set tuning.epochs, or name "
                "another teacher"
            )
        return
    if distillation is None or distillation.features is None:
        return
    check_names(distillation, space, "the space")
    for place, words in ((0, "the child of all first candidates"), (-1, "the child of all last candidates")):
        sample = {label: _value(choice_of(mutable), place) for label, mutable in space.simplify().items()}
        child = build_child(partial(make_space, settings.space, data), {}, sample)
        check_features(distillation, child, data, words)


def _value(choice: Choice, place: int) -> Any:
    rows, categories = choice.rows(torch.zeros(choice.logits_shape)).shape
    return choice.value([range(categories)[place]] * rows)
