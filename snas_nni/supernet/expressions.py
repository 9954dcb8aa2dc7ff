"""Weights of the values of an expression over several labels, such as ``nni.choice("a", ...) * 2``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni.mutable import MutableExpression
from torch import Tensor

from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Trace
from snas_nni.nni_compat import weights_of_values

__all__ = ["expression_conditions", "expression_numbers", "expression_value", "expression_weights", "traced_value"]


def expression_weights(expression: MutableExpression, readers: Mapping[str, ChoiceReader]) -> dict[Any, Tensor]:
    """Weight of each value: the sum over the outcomes that give it of the product of their candidates' weights."""
    weights = {label: list(readers[label].weights().unbind()) for label in expression.simplify()}
    return weights_of_values(expression, weights)


def expression_numbers(expression: MutableExpression, readers: Mapping[str, ChoiceReader]) -> dict[Any, float]:
    """The same as Python numbers."""
    return weights_of_values(expression, {label: readers[label].numbers() for label in expression.simplify()})


def expression_value(expression: MutableExpression, readers: Mapping[str, ChoiceReader]) -> Any:
    """The one value of a one-hot sample."""
    values = {}
    for label in expression.simplify():
        reader = readers[label]
        values[label] = reader.choice.candidates[reader.numbers().index(1.0)]
    return expression.freeze(values)


def expression_conditions(expression: MutableExpression, readers: Mapping[str, ChoiceReader]) -> dict[Any, Polynomial]:
    """For each value, the polynomial in Z that is 1 where the expression has that value."""
    conditions: dict[Any, Polynomial] = {}
    outcome: dict[str, Any] = {}
    for value in expression.grid(memo=outcome):
        condition = ONE
        for label, candidate in outcome.items():
            condition = condition * Polynomial.entry(label, readers[label].choice.candidates.index(candidate))
        conditions[value] = conditions.get(value, Polynomial()) + condition
    return conditions


def traced_value(expression: MutableExpression, readers: Mapping[str, ChoiceReader], trace: Trace) -> Any:
    """The value that a traced pass runs with."""
    return expression.freeze(
        {label: readers[label].choice.candidates[trace.value_index(label)] for label in expression.simplify()}
    )
