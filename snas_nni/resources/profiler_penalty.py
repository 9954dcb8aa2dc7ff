"""The ``penalty`` argument of NNI's strategies: a profiler's expected result, with a gradient to the logits."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.mutable import MutableExpression
from nni.nas.profiler import ExpressionProfiler
from torch import Tensor

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError
from snas_nni.regularizer import Regularizer

__all__ = ["ProfilerPenalty"]

_NONLINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda value: value,
    "positive": torch.relu,
    "negative": lambda value: -torch.relu(-value),
    "absolute": torch.abs,
}


class ProfilerPenalty(Regularizer):
    """``scale * f(E[profiler] / baseline - 1)``, as NNI's ``ExpectationProfilerPenalty`` with ``aggregate="add"``.

    The expectation is exact, under the probabilities of the candidates. NNI's own gets probabilities as Python numbers
    and so moves nothing.

    Args:
        penalty: NNI's ``ExpectationProfilerPenalty``, or a dictionary of its arguments: ``profiler``, ``baseline``, and
            ``scale``, ``nonlinear``, ``aggregate`` where they differ from NNI's defaults.

    Raises:
        SettingError: the profiler has no expression, ``aggregate`` is not "add", or another value is out of range.
    """

    name = "profiler"

    def __init__(self, penalty: Any) -> None:
        given = dict(penalty) if isinstance(penalty, Mapping) else vars(penalty) | {"profiler": penalty.profiler}
        values = {"scale": 1.0, "nonlinear": "linear", "aggregate": "add"} | given
        profiler = values.get("profiler")
        if not isinstance(profiler, ExpressionProfiler):
            raise SettingError(
                f"penalty: the profiler is {type(profiler).__name__}, not one of NNI's profilers that have an "
                "expression, such as FlopsProfiler and NumParamsProfiler."
            )
        self.profiler: Any = profiler
        if values["aggregate"] != "add":
            raise SettingError(f"penalty: aggregate is {values['aggregate']!r}; a term of the loss can only be added.")
        if values["nonlinear"] not in _NONLINEAR:
            raise SettingError(f"penalty: nonlinear is {values['nonlinear']!r}, not one of {', '.join(_NONLINEAR)}.")
        baseline, scale = values.get("baseline"), values["scale"]
        if not isinstance(baseline, (int, float)) or not 0 < baseline < math.inf:
            raise SettingError(f"penalty: baseline is {baseline}, but must be a number > 0.")
        self.baseline, self.scale, self.nonlinear = float(baseline), float(scale), values["nonlinear"]

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> Tensor:
        """Return the term; a scalar."""
        value = torch.as_tensor(expectation(self.profiler.expression, distribution), dtype=torch.float32)
        return self.scale * _NONLINEAR[self.nonlinear](value / self.baseline - 1)


def expectation(expression: Any, distribution: ArchitectureDistribution) -> Tensor | float:
    """Return the mean of an NNI expression over samples of the distribution, differentiable.

    Sums are taken apart, and so are products of independent factors; what is left is enumerated.

    Raises:
        SettingError: it depends on a label that chooses several candidates at once.
    """
    if not isinstance(expression, MutableExpression):
        return float(expression)
    function, arguments = getattr(expression, "function", None), getattr(expression, "arguments", ())
    if function in (operator.add, operator.sub):
        return function(*(expectation(each, distribution) for each in arguments))
    if function is operator.mul and not set.intersection(*(_labels(each) for each in arguments)):
        return operator.mul(*(expectation(each, distribution) for each in arguments))
    probabilities: dict[str, dict[Any, Tensor]] = {}
    for label in _labels(expression):
        choice = distribution.choices[label]
        if not isinstance(choice, OneOf):
            raise SettingError(
                f"penalty: the profiler's result depends on label '{label}', which chooses several candidates at "
                "once. Use SNAS(regularizers=[ResourcePenalty(...)]) for this space."
            )
        probabilities[label] = dict(zip(choice.candidates, distribution.expected_weights(label), strict=True))
    total: Tensor | float = 0.0
    values: dict[str, Any] = {}
    for result in expression.grid(memo=values):
        total = total + float(result) * math.prod(probabilities[label][value] for label, value in values.items())
    return total


def _labels(expression: Any) -> set[str]:
    return set(expression.simplify()) if isinstance(expression, MutableExpression) else set()
