"""From settings to what a search is made of: the model space, and the strategy with its penalty and budget."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor

import snas_nni.one_shot.settings
from exports.architecture.space_reference import constructor_of
from exports.metric import ACCURACY, DecidingMetric
from search_spaces.from_model.given import plain_example
from snas_nni import SNAS, Budget
from snas_nni.errors import SettingError, SnasError
from snas_nni.one_shot.evidence.comparing import Accept
from snas_nni.resources import ResourcePenalty, Sweep, penalty_level
from trials.data.loaders import input_example
from trials.data.own_data import SEVERAL_INPUTS
from trials.data.types import TaskData
from trials.settings.amounts import amount
from trials.settings.costs.bounds import given_bounds
from trials.settings.search import ResourceSettings, RunSettings, SearchSettings, SpaceSettings
from trials.settings.user_code import import_dotted
from trials.state.checkpoint_files import read_checkpoint
from trials.state.user_errors import user_code_error
from trials.training.modules import training_module

__all__ = [
    "DECIDED_BY_DATA",
    "constructor_arguments",
    "make_space",
    "make_strategy",
    "restored_strategy",
    "strategy_arguments",
    "sweep_of",
]

_CHANNELS = ("in_channels", "in_chans")
_CLASSES = ("classes", "num_classes", "n_classes", "outputs", "out_features")

DECIDED_BY_DATA = (*_CHANNELS, *_CLASSES, "example")
"""Arguments of a space that the data decides unless the user does, by the names that are in use for them."""


def make_strategy(
    settings: RunSettings,
    accept: Accept | None = None,
    metric: DecidingMetric = ACCURACY,
    latency_table: Path | None = None,
) -> SNAS:
    """Make the strategy.

    Args:
        settings: of the run.
        accept: is asked about the children that are compared.
        metric: decides between them, unless the settings name another one.
        latency_table: the run's own, in place of the one that the settings name.

    Raises:
        SettingError: an argument outside its range.
    """
    arguments = strategy_arguments(settings.search)
    arguments["selection_metric"] = settings.search.selection_metric or metric.selection
    return SNAS(
        **arguments,
        seed=settings.seed,
        regularizers=_penalties(settings.resources),
        budget=_budget(settings.resources),
        sweep=sweep_of(settings.resources),
        accept=accept,
        latency_table=latency_table or settings.resources.latency_table,
    )


def restored_strategy(
    settings: RunSettings,
    data: TaskData,
    checkpoint: Path,
    latency_table: Path | None = None,
    inputs: Tensor | None = None,
) -> SNAS:
    """Make the strategy of a search that was run, with what it learned and without its budget.

    Args:
        settings: of that search. What it had as its own bound is no bound of another child.
        data: the splits.
        checkpoint: of the search.
        latency_table: the run's own.
        inputs: a batch that costs are counted on; None where none are asked for.

    Raises:
        SnasError: the checkpoint is not of a search of this space.
    """
    plain = replace(settings, resources=type(settings.resources)())
    strategy = make_strategy(plain, metric=data.task.metric, latency_table=latency_table)
    module = training_module(data, settings.training)
    strategy.restore(make_space(settings.space, data), module, read_checkpoint(checkpoint), inputs)
    return strategy


def strategy_arguments(search: SearchSettings) -> dict[str, Any]:
    """Return those of the search's settings that are arguments of the strategy."""
    return {each.name: getattr(search, each.name) for each in fields(snas_nni.one_shot.settings.SearchSettings)}


def _penalties(settings: ResourceSettings) -> list[ResourcePenalty]:
    if settings.penalty == "none":
        return []
    return [penalty_level(settings.penalty, settings.penalty_weight)]


def sweep_of(settings: ResourceSettings) -> Sweep | None:
    """Return the sweep that is asked for, such as ``params`` or ``params:1k:5k``.

    Raises:
        SettingError: it is neither a cost nor a cost with a range.
    """
    if settings.sweep is None:
        return None
    cost, *bounds = settings.sweep.split(":")
    try:
        low, high = (float(amount(bound)) for bound in bounds) if bounds else (None, None)
    except ValueError:
        raise SettingError(f"resources.sweep: {settings.sweep!r} must look like params or params:1k:5k") from None
    return Sweep(cost, low, high)


def _budget(settings: ResourceSettings) -> Budget | None:
    bounds = given_bounds(settings)
    if all(bound is None for bound in bounds.values()):
        return None
    return Budget(
        **bounds,
        target=settings.target,
        tolerance=settings.tolerance,
        exclude=settings.exclude,
        pull=settings.pull,
        fill=settings.fill,
    )


def make_space(settings: SpaceSettings, data: TaskData | None = None) -> ModelSpace:
    """Build the space; what :data:`DECIDED_BY_DATA` names is filled in from data where its constructor has it.

    Raises:
        SettingError: the class is not a ModelSpace, an argument does not exist, or the constructor refuses one.
    """
    space_class = import_dotted(settings.class_path, "space.class_path")
    if not (inspect.isclass(space_class) and issubclass(space_class, ModelSpace)):
        raise SettingError(f"space.class_path: {settings.class_path!r} is not a ModelSpace class")
    _refuse_several_inputs(space_class, settings.class_path)
    arguments = constructor_arguments(space_class, settings.init_args, data)
    try:
        return cast(ModelSpace, space_class(**arguments))
    except SnasError:
        raise
    except (TypeError, ValueError) as error:
        place = user_code_error(error)
        words = f"{error}" if place is None else f"{place}"
        raise SettingError(f"space.init_args: {settings.class_path} refuses them: {words}") from error


def _refuse_several_inputs(space_class: type[ModelSpace], class_path: str) -> None:
    """Refuse a space whose ``forward`` needs more than one argument: data, files and reports have one input tensor."""
    kinds = inspect.Parameter
    needed = [
        each.name
        for each in list(inspect.signature(space_class.forward).parameters.values())[1:]
        if each.default is kinds.empty and each.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise SettingError(
            f"space.class_path: forward of {class_path} needs {len(needed)} inputs ({', '.join(needed)}), but here a "
            f"network gets one tensor. {SEVERAL_INPUTS}"
        )


def constructor_arguments(
    space_class: type[ModelSpace], given: Mapping[str, Any], data: TaskData | None
) -> dict[str, Any]:
    """Return the given arguments, completed by those that the data decides.

    Raises:
        SettingError: the constructor has no argument of a given name.
    """
    parameters = dict(list(inspect.signature(constructor_of(space_class)).parameters.items())[1:])
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    for name in given:
        if name not in parameters and not takes_any:
            known = ", ".join(parameters) or "none"
            raise SettingError(
                f"space.init_args.{name}: {space_class.__module__}.{space_class.__qualname__} has no such argument; "
                f"it has {known}"
            )
    offered: dict[str, Any] = {}
    if data is not None:
        offered = {
            **dict.fromkeys(_CHANNELS, data.input_shape[0] if data.input_shape else 1),
            **dict.fromkeys(_CLASSES, data.classes),
            "example": plain_example((input_example(data).batch(),)),
        }
    return {**{name: value for name, value in offered.items() if name in parameters}, **given}
