"""The resource term eta * C(Z) of the objective (paper, section 2.4), as a regularizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError, SnasError
from snas_nni.regularizer import Regularizer, RegularizerTerm

__all__ = ["LEVELS", "OFFICIAL_COSTS", "Estimator", "ResourcePenalty", "Scale", "penalty_level"]

Estimator = Literal["relaxed", "expected", "score"]
Scale = Literal["linear", "log", "log_per_choice"]

OFFICIAL_COSTS = {"params": 0.86, "macs": 0.43 / 4000, "memory_access": 0.43 / 100}
"""Weights of the costs in the official code's linear penalty, 0.43 (2 s + f / 4000 + m / 100)."""

LEVELS = {"mild": 5e-4, "moderate": 1.5e-3, "aggressive": 1e-2}
"""Weight of the ``log_per_choice`` penalty by the paper's levels, for ``SnasCellSpace``.

The paper does not state its values. These are the ends and the default of the range that the official code uses
(1.5e-3 in its commands, 1e-2 in its defaults); at initialisation the 8-cell, 16-channel network has a penalty of
about 280, so they stand for 0.14, 0.42 and 2.8 beside a cross-entropy of 2.3.
"""


class ResourcePenalty(Regularizer):
    """``weight`` times a combination of costs.

    Args:
        costs: how much each cost counts, by name ("params", "macs", "memory_access", "latency_ms").
        weight: eta, >= 0.
        estimator: where the gradient comes from. "relaxed": pathwise, through the relaxed Z of the step.
            "expected": of the exact expectation under the categorical distribution, without noise. "score":
            grad log p(Z) * (cost(Z) - baseline) with Z a constant, log p the exact density of the concrete
            distribution.
        scale: "linear": the weighted sum of the costs. "log": the mean of the logarithms of the total costs,
            weighted by ``costs``. "log_per_choice": for every label the mean over its layers of that, summed over
            labels, which is the official code's log penalty; costs below 1 count as 1.
        baseline: for "score": subtract a running mean of the cost, which lowers the variance and not the mean.

    Raises:
        SettingError: a value outside its range.

    Examples:
        >>> import torch
        >>> from snas_nni import SNAS, SnasCellSpace
        >>> penalty = ResourcePenalty({"params": 1.0, "macs": 1e-3}, weight=1e-6)
        >>> strategy = SNAS(regularizers=[penalty], seed=0)

        A search counts the costs and adds ``weight`` times their combination in each step. By hand:

        >>> supernet = strategy.mutate_model(SnasCellSpace(channels=2, cells=3))
        >>> penalty.prepare(strategy.cost_model(torch.zeros(1, 3, 32, 32)))
        >>> distribution = strategy.distribution
        >>> expected = penalty.combined({label: distribution.expected_weights(label) for label in distribution.choices})
        >>> expected.backward()  # the exact expectation of parameters + MACs / 1000
        >>> bool(distribution.logits_of("normal/edge_0_2").grad.any())
        True
    """

    name = "resources"
    costs: dict[str, float]

    def __init__(
        self,
        costs: Mapping[str, float] | None = None,
        *,
        weight: float = 1.0,
        estimator: Estimator = "expected",
        scale: Scale = "linear",
        baseline: bool = False,
    ) -> None:
        self.costs = dict(OFFICIAL_COSTS if costs is None else costs)
        if not any(self.costs.values()) or not all(0 <= value < math.inf for value in self.costs.values()):
            raise SettingError(f"costs must name at least one cost with a positive weight, got {self.costs}.")
        if not 0 <= weight < math.inf:
            raise SettingError(f"weight of the resource penalty must be finite and >= 0, got {weight}.")
        if estimator not in ("relaxed", "expected", "score"):
            raise SettingError(f"estimator must be 'relaxed', 'expected' or 'score', got {estimator!r}.")
        if scale not in ("linear", "log", "log_per_choice"):
            raise SettingError(f"scale must be 'linear', 'log' or 'log_per_choice', got {scale!r}.")
        self.weight = weight
        self.estimator = estimator
        self.scale = scale
        self.baseline = baseline
        self._running_mean: float | None = None
        self._model: CostModel | None = None

    def prepare(self, cost_model: CostModel) -> None:
        """Learn what the candidates cost; called once, before the first step.

        Raises:
            SettingError: a cost that was not counted.
        """
        for name in self.costs:
            cost_model.check(name)
        self._model = cost_model

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> RegularizerTerm:
        """The penalty, with gradient to the logits; "score" has none at the weights that it reads."""
        if self.estimator == "expected":
            read = {label: distribution.expected_weights(label) for label in distribution.choices}
            return RegularizerTerm(self.weight * self.combined(read), read)
        read = sample.mean_weights()
        if self.estimator == "relaxed":
            return RegularizerTerm(self.weight * self.combined(read), read, through_sample=True)
        value = self.combined({label: weights.detach() for label, weights in read.items()})
        log_density = distribution.log_density(sample)
        surrogate = log_density * (value - self._baseline_of(value))
        # Shows the cost, and has the gradient of the surrogate.
        return RegularizerTerm(self.weight * (value + surrogate - surrogate.detach()))

    def combined(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The combination of costs, before ``weight``, at given weights of the candidates (shape ``(K,)`` each)."""
        model = self._prepared()
        if self.scale == "log_per_choice":
            return self._log_per_choice(model, weights)
        terms = []
        for name, factor in self.costs.items():
            cost = model.cost(name, weights)
            terms.append(factor * (cost.clamp(min=1.0).log() if self.scale == "log" else cost))
        total = torch.stack(terms).sum()
        return total / sum(self.costs.values()) if self.scale == "log" else total

    def _log_per_choice(self, model: CostModel, weights: Mapping[str, Tensor]) -> Tensor:
        layers: dict[str, dict[int, Tensor]] = defaultdict(dict)
        norm = sum(self.costs.values())
        for name, factor in self.costs.items():
            for (label, layer), cost in model.cost_by_choice(name, weights).items():
                term = factor / norm * cost.clamp(min=1.0).log()
                layers[label][layer] = layers[label][layer] + term if layer in layers[label] else term
        if not layers:
            raise SnasError("no choice of this space has a cost, so there is nothing to penalise.")
        return torch.stack([torch.stack(list(terms.values())).mean() for terms in layers.values()]).sum()

    def _baseline_of(self, value: Tensor) -> float:
        if not self.baseline:
            return 0.0
        # The mean of the past, so that it does not depend on the Z it is subtracted for.
        before = float(value) if self._running_mean is None else self._running_mean
        self._running_mean = 0.95 * before + 0.05 * float(value)
        return before

    def _prepared(self) -> CostModel:
        if self._model is None:
            raise SnasError("the penalty does not know the costs yet: call prepare(cost_model) first.")
        return self._model

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"running_mean": self._running_mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._running_mean = state["running_mean"]


def penalty_level(level: Literal["mild", "moderate", "aggressive"], weight: float | None = None) -> ResourcePenalty:
    """The paper's resource constraint by name, for ``SnasCellSpace``; see :data:`LEVELS`.

    Args:
        level: its name.
        weight: in place of the level's own, finite and >= 0.

    Raises:
        SettingError: no such level, or a weight outside its range.
    """
    if level not in LEVELS:
        raise SettingError(f"level must be one of {', '.join(LEVELS)}, got {level!r}.")
    return ResourcePenalty(
        {"params": 1.0, "macs": 1.0, "memory_access": 1.0},
        weight=LEVELS[level] if weight is None else weight,
        estimator="relaxed",
        scale="log_per_choice",
    )
