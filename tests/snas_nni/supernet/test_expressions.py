"""Weights of the values of expressions over several labels."""

import itertools

import nni
import pytest
import torch

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import choice_of
from snas_nni.supernet.expressions import expression_numbers, expression_value, expression_weights

A, B = nni.choice("a", [1, 2, 3]), nni.choice("b", [0, 2])
EXPRESSIONS = [A * 1, A + B, A * 2 - B, (A + B) // 2, A * A, A * B + A]


def bound():
    distribution = ArchitectureDistribution({m.label: choice_of(m) for m in (A, B)}, initial_std=1.0)
    return distribution, {label: distribution.bind(label) for label in "ab"}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_a_value_weighs_the_sum_over_the_outcomes_that_give_it(expression):
    distribution, readers = bound()
    with distribution.use(distribution.draw(0.7)) as sample:
        weights = expression_weights(expression, readers)
        numbers = expression_numbers(expression, readers)
    expected = {}
    for (i, a), (k, b) in itertools.product(enumerate([1, 2, 3]), enumerate([0, 2])):
        value = expression.evaluate({"a": a, "b": b})
        p = float(sample.weights["a"][0, i]) * float(sample.weights["b"][0, k])
        expected[value] = expected.get(value, 0.0) + p
    assert numbers == pytest.approx(expected)
    assert {value: float(w.detach()) for value, w in weights.items()} == pytest.approx(expected)
    assert sum(numbers.values()) == pytest.approx(1)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_weights_have_gradients(expression):
    distribution, readers = bound()
    with distribution.use(distribution.draw(0.7)):
        next(iter(expression_weights(expression, readers).values())).backward()
    for label in expression.simplify():
        assert distribution.logits_of(label).grad.any()


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_the_value_of_a_one_hot_sample(expression):
    distribution, readers = bound()
    for a, b in itertools.product([1, 2, 3], [0, 2]):
        with distribution.use(distribution.one_hot_sample({"a": a, "b": b})):
            assert expression_value(expression, readers) == expression.evaluate({"a": a, "b": b})


def test_repeated_labels_count_once():
    distribution, readers = bound()
    with distribution.use(distribution.draw(0.7)) as sample:
        numbers = expression_numbers(A * A, readers)
    assert numbers == pytest.approx(
        {value * value: float(w) for value, w in zip([1, 2, 3], sample.weights["a"][0].detach(), strict=True)}
    )
    assert torch.tensor(list(numbers.values())).sum() == pytest.approx(1)
