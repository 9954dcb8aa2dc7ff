"""From settings to the SNAS strategy, with its penalty and budget."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from nni.nas.nn.pytorch import ModelSpace

from exports.architecture.space_reference import constructor_of
from snas_nni import SNAS, Budget
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources import ResourcePenalty, penalty_level
from trials.data.types import ClassificationData
from trials.settings.search import ResourceSettings, RunSettings, SearchSettings, SpaceSettings
from trials.settings.user_code import import_dotted

__all__ = ["constructor_arguments", "make_space", "make_strategy", "strategy_arguments"]

_NOT_OF_THE_STRATEGY = ("epochs", "batch_size")


def make_strategy(settings: RunSettings) -> SNAS:
    """Make the strategy.

    Raises:
        SettingError: an argument outside its range.
    """
    return SNAS(
        **strategy_arguments(settings.search),
        seed=settings.seed,
        regularizers=_penalties(settings.resources),
        budget=_budget(settings.resources),
        latency_table=settings.resources.latency_table,
    )


def strategy_arguments(search: SearchSettings) -> dict[str, Any]:
    """Return those of the search's settings that are arguments of the strategy."""
    return {name: value for name, value in asdict(search).items() if name not in _NOT_OF_THE_STRATEGY}


def _penalties(settings: ResourceSettings) -> list[ResourcePenalty]:
    if settings.penalty == "none":
        return []
    penalty = penalty_level(settings.penalty)
    if settings.penalty_weight is not None:
        penalty.weight = settings.penalty_weight
    return [penalty]


def _budget(settings: ResourceSettings) -> Budget | None:
    bounds: dict[str, Any] = {
        "params": settings.max_params,
        "macs": settings.max_macs,
        "memory_access": settings.max_memory_access,
        "latency_ms": settings.max_latency_ms,
    }
    if all(bound is None for bound in bounds.values()):
        return None
    return Budget(**bounds, target=settings.target, tolerance=settings.tolerance)


def make_space(settings: SpaceSettings, data: ClassificationData | None = None) -> ModelSpace:
    """Build the space; ``in_channels`` and ``classes`` are filled in from data where its constructor has them.

    Raises:
        SettingError: the class is not a ModelSpace, an argument does not exist, or the constructor refuses one.
    """
    space_class = import_dotted(settings.class_path, "space.class_path")
    if not (inspect.isclass(space_class) and issubclass(space_class, ModelSpace)):
        raise SettingError(f"space.class_path: {settings.class_path!r} is not a ModelSpace class")
    arguments = constructor_arguments(space_class, settings.init_args, data)
    try:
        return cast(ModelSpace, space_class(**arguments))
    except SnasError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingError(f"space.init_args: {settings.class_path} refuses them: {error}") from error


def constructor_arguments(
    space_class: type[ModelSpace], given: Mapping[str, Any], data: ClassificationData | None
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
    offered = {} if data is None else {"in_channels": data.input_shape[0], "classes": data.classes}
    return {**{name: value for name, value in offered.items() if name in parameters}, **given}
