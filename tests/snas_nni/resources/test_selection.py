"""The most probable child within bounds, against trying all children."""

import itertools
import math

import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni import SNAS
from snas_nni.resources import cost_range, feasible, most_probable


class Nested(ModelSpace):
    """A nested choice, a label shared by two layers, a depth, and an input choice that costs nothing."""

    def __init__(self):
        super().__init__()
        inner = LayerChoice({"a": nn.Linear(4, 4), "b": nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 4))}, label="inner")
        outer = {"one": nn.Linear(4, 4, bias=False), "in": inner, "skip": nn.Identity()}
        self.outer = LayerChoice(outer, label="outer")
        shared = [LayerChoice([nn.Linear(4, 4), nn.Identity()], label="shared") for _ in range(2)]
        self.first, self.second = shared
        self.blocks = Repeat(
            lambda index: LayerChoice([nn.Linear(4, 4), nn.Identity()], label=f"block{index}"), (0, 2), label="depth"
        )
        self.inputs = InputChoice(2, 1, label="inputs")

    def forward(self, x):
        y = self.second(self.first(self.outer(x)))
        return self.blocks(self.inputs([x, y]))


@pytest.fixture(params=range(4))
def searched(request):
    strategy = SNAS(seed=request.param, initial_logits_std=2.0)
    strategy.mutate_model(Nested())
    return strategy, strategy.cost_model(torch.zeros(1, 4))


def every_child(strategy):
    """All samples with their log-probability."""
    distribution = strategy.distribution
    labels = list(distribution.choices)
    logs = {label: torch.log_softmax(distribution.rows_of(label).detach().double(), -1)[0] for label in labels}
    for indices in itertools.product(*(range(len(logs[label])) for label in labels)):
        pairs = list(zip(labels, indices, strict=True))
        sample = {label: distribution.choices[label].value([index]) for label, index in pairs}
        yield sample, float(sum(logs[label][index] for label, index in pairs))


def test_the_range_is_that_of_all_children(searched):
    strategy, model = searched
    for name in ("params", "macs", "memory_access"):
        costs = [model.of(sample)[name] for sample, _ in every_child(strategy)]
        assert cost_range(model, name) == (min(costs), max(costs))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("names", [("params",), ("params", "macs")])
def test_no_child_within_the_bounds_is_more_probable(searched, fraction, names):
    strategy, model = searched
    bounds = {}
    for name in names:
        low, high = cost_range(model, name)
        bounds[name] = (-math.inf, low + fraction * (high - low))
    children = list(every_child(strategy))
    fitting = [
        (log_p, sample)
        for sample, log_p in children
        if all(lower <= model.of(sample)[name] <= upper for name, (lower, upper) in bounds.items())
    ]
    chosen = most_probable(strategy.distribution, model, bounds)
    assert feasible(model, bounds) == bool(fitting) == (chosen is not None)
    best = max(log_p for log_p, _ in fitting)
    log_p = next(log_p for sample, log_p in children if sample == chosen.sample)
    assert log_p == pytest.approx(best, abs=1e-9)
    assert chosen.log_probability_given_up == pytest.approx(max(p for _, p in children) - best, abs=1e-9)
    assert all(model.of(chosen.sample)[name] <= upper for name, (_, upper) in bounds.items())


def test_a_band_that_no_child_hits_is_told(searched):
    strategy, model = searched
    low, _ = cost_range(model, "params")
    bounds = {"params": (low + 0.25, low + 0.75)}  # parameters are whole numbers
    assert most_probable(strategy.distribution, model, bounds) is None
    assert not feasible(model, bounds)
