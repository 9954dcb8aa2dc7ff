"""From whole children to parts: planted milliseconds are found, pairs where they matter, the design, refusals."""

import math

import numpy as np
import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, SettingError
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.resources.latency import calibration_of, plan_measurements
from snas_nni.resources.latency.design import values_of
from snas_nni.resources.latency.drawing import random_children
from snas_nni.resources.latency.fitting import fit_parts

IMAGES = torch.zeros(1, 4, 4, 4)


class Three(ModelSpace):
    """Three choices in a row, one with a nested one, and inputs that take no time."""

    def __init__(self):
        super().__init__()
        inner = LayerChoice({"small": nn.Conv2d(4, 4, 1), "large": nn.Conv2d(4, 4, 3, padding=1)}, label="inner")
        self.layers = nn.Sequential(
            LayerChoice({"conv": nn.Conv2d(4, 4, 1), "tanh": nn.Tanh(), "skip": nn.Identity()}, label="a"),
            LayerChoice({"nested": inner, "skip": nn.Identity()}, label="b"),
            LayerChoice({"conv": nn.Conv2d(4, 4, 1), "tanh": nn.Tanh(), "skip": nn.Identity()}, label="c"),
        )
        self.inputs = InputChoice(2, n_chosen=None, label="inputs")

    def forward(self, x):
        return self.inputs([x, self.layers(x)])


def apart(sample):
    time = (
        1.0 + {"conv": 0.5, "tanh": 0.2, "skip": 0.0}[sample["a"]] + {"conv": 0.3, "tanh": 0.7, "skip": 0}[sample["c"]]
    )
    return time + ({"small": 0.1, "large": 0.9}[sample["inner"]] if sample["b"] == "nested" else 0.0)


def fused(sample):
    """Two activations that the runtime makes one."""
    return apart(sample) - (0.35 if sample["a"] == sample["c"] == "tanh" else 0.0)


@pytest.fixture(scope="module")
def space():
    strategy = SNAS(seed=0)
    return strategy.mutate_model(Three()), strategy.distribution


@pytest.fixture(scope="module")
def plan(space):
    return plan_measurements(*space, IMAGES, children=30, held_out=8)


def every_child(plan, space):
    return random_children(space[1].choices, 144, 3)


@pytest.mark.parametrize(("time", "degree"), [(apart, 2), (fused, 3)])
def test_planted_times_are_found_in_every_child(plan, space, time, degree):
    table = plan.table([time(sample) for sample in plan.samples], {"machine": "board"}, {"runtime": "a"})
    total = Polynomial.sum(table.parts.values())
    for sample in every_child(plan, space):
        assert total.value(plan.costs.indices(sample)) == pytest.approx(time(sample), rel=2e-3)
    assert max(len(term) for term in total.terms) <= degree
    assert not any(label == "inputs" for term in total.terms for label, _ in term)
    assert ((("a", 1), ("c", 1)) in total.terms) == (time is fused)
    assert table.calibration["spearman"] == 1.0
    assert table.calibration["p90_error"] < 2e-3
    assert table.measurement == {"children": 30, "runtime": "a"}


def test_noise_does_not_become_pairs(plan, space):
    """A tenth of a millisecond more or less, at random, leaves entries about right and makes no product of parts."""
    noise = np.random.default_rng(0).normal(0, 0.01, len(plan.fitted))
    measured = [(sample, apart(sample) * (1 + error)) for sample, error in zip(plan.fitted, noise, strict=True)]
    total = Polynomial.sum(fit_parts(plan.structure, plan.costs, measured).values())
    assert {term for term in total.terms if len(term) == 2} <= {(("b", 0), ("inner", 0)), (("b", 0), ("inner", 1))}
    errors = [abs(total.value(plan.costs.indices(sample)) / apart(sample) - 1) for sample in every_child(plan, space)]
    assert max(errors) < 0.04


def test_the_design_tells_every_part_apart(plan):
    rows = values_of(plan.structure.parts, plan.costs, plan.fitted)
    everything = values_of(plan.structure.parts, plan.costs, plan.samples)
    assert np.linalg.matrix_rank(rows) == np.linalg.matrix_rank(everything)
    assert len({repr(sample) for sample in plan.samples}) == len(plan.samples) == 38
    # Nested candidates are in a quarter of random children each, and in the design more often.
    nested = [part for part in plan.structure.parts if part.condition.terms.keys() == {(("b", 0), ("inner", 1))}]
    assert len(nested) == 1
    assert rows[:, plan.structure.parts.index(nested[0])].mean() > 0.25


def test_a_small_space_has_fewer_children_than_asked_for(space):
    plan = plan_measurements(*space, IMAGES, held_out=200)
    assert len(plan.fitted) == 100
    assert len(plan.samples) == 3 * 3 * 2 * 2 * 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda times: times[:-1], "there are 38 children and 37 times"),
        (lambda times: [0.0, *times[1:]], "needs times above 0"),
        (lambda times: [math.nan, *times[1:]], "needs times above 0"),
    ],
)
def test_times_that_cannot_be_are_refused(plan, change, words):
    with pytest.raises(SettingError, match=words):
        plan.table(change([1.0] * 38))


def test_too_few_children_are_refused(plan, space):
    with pytest.raises(SettingError, match="at least 3 measured children, not 2"):
        fit_parts(plan.structure, plan.costs, [(sample, 1.0) for sample in plan.fitted[:2]])
    with pytest.raises(SettingError, match="children must be at least 3"):
        plan_measurements(*space, IMAGES, children=2)


def test_errors_are_relative_to_what_was_measured():
    found = calibration_of([1.0, 2.2, 3.0, 3.0], [1.0, 2.0, 4.0, 5.0])
    assert found.median_error == pytest.approx((0.1 + 0.25) / 2)
    assert found.p90_error == pytest.approx(0.25 + 0.7 * 0.15)
    assert "spearman" not in calibration_of([1.0, 1.0], [1.0, 2.0]).as_document()
    assert "4 children that it was not fitted to: Spearman 0.949" in str(found)
