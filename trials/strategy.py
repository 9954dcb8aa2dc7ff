"""From settings to the SNAS strategy, with its penalty and budget."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from snas_nni import SNAS, Budget, SnasError
from snas_nni.resources import ResourcePenalty, count_child, penalty_level
from trials.progress import Progress
from trials.settings import ResourceSettings, RunSettings, SearchSettings

__all__ = ["child_costs", "make_strategy", "strategy_arguments"]

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


def child_costs(child: nn.Module, input_shape: tuple[int, ...], progress: Progress) -> dict[str, float]:
    """Count the child's parameters, multiply-accumulates and memory access for one input.

    A child with an operation that cannot be counted is still a child: ``progress`` is told, nothing is returned.
    """
    try:
        return dict(count_child(child, torch.zeros(1, *input_shape)))
    except SnasError as error:
        progress.say(f"the child's costs were not counted: {error}")
        return {}
