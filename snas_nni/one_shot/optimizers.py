"""The two optimisers of a search: the evaluator's for the weights, Adam for the logits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SettingError
from snas_nni.nni_compat import is_architecture_optimizer
from snas_nni.one_shot.settings import SearchSettings

__all__ = ["logits_optimizer", "weights_optimizer", "without_parameters"]


def logits_optimizer(
    distribution: ArchitectureDistribution, settings: SearchSettings, learning_rate: float
) -> torch.optim.Optimizer:
    """Adam over the logits."""
    return torch.optim.Adam(
        distribution.parameters(),
        lr=learning_rate,
        betas=settings.logits_betas,
        weight_decay=settings.logits_weight_decay,
    )


def weights_optimizer(optimizers: Iterable[Any], training_module: Any) -> Any:
    """Pick the evaluator's optimiser.

    Raises:
        SettingError: the evaluator has not exactly one, or steps it by itself.
    """
    weights = [o for o in optimizers if not is_architecture_optimizer(o)]
    if len(weights) != 1 or not training_module.automatic_optimization:
        raise SettingError(
            f"the evaluator's Lightning module must use automatic optimisation with exactly one optimiser, "
            f"it has {len(weights)}. Return one optimiser from configure_optimizers."
        )
    return weights[0]


def without_parameters(optimizers: Any, parameters: Iterable[nn.Parameter]) -> Any:
    """Take parameters out of whatever a module's ``configure_optimizers`` returned, in place."""
    unwanted = set(parameters)

    def clean(part: Any) -> None:
        if isinstance(part, torch.optim.Optimizer):
            for group in part.param_groups:
                group["params"] = [p for p in group["params"] if p not in unwanted]
        elif isinstance(part, dict):
            for value in part.values():
                clean(value)
        elif isinstance(part, (list, tuple)):
            for value in part:
                clean(value)

    clean(optimizers)
    return optimizers
