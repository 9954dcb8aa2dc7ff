"""A child that leaves much of its budget is made larger, by what gives up least probability for what it costs."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, Budget
from snas_nni.resources.solver.filling import filled

SIZES = {"a": (0, 1, 2), "b": (0, 3), "c": (0, 5)}


class Three(ModelSpace):
    """Three choices of hidden layers; one of size n has 9 n + 4 parameters, none has 0."""

    def __init__(self):
        super().__init__()
        for label, sizes in SIZES.items():
            layers = {str(n): nn.Sequential(nn.Linear(4, n), nn.Linear(n, 4)) if n else nn.Identity() for n in sizes}
            setattr(self, label, LayerChoice(layers, label=label))

    def forward(self, x):
        return self.c(self.b(self.a(x)))


def params(sample):
    return sum(9 * int(n) + 4 for n in sample.values() if n != "0")


def searched(budget, **logits):
    strategy = SNAS(seed=0, budget=budget)
    strategy.mutate_model(Three())
    with torch.no_grad():
        for label in SIZES:
            strategy.distribution.logits_of(label).copy_(torch.tensor(logits[label]))
    return strategy, strategy.cost_model(torch.zeros(1, 4))


SMALLEST = {"a": "0", "b": "0", "c": "0"}
LOGITS = {"a": [2.0, 1.0, 0.0], "b": [2.0, 0.0], "c": [2.0, 1.5]}


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (12, {"a": "0", "b": "0", "c": "0"}),  # nothing fits
        (22, {"a": "2", "b": "0", "c": "0"}),  # 22 parameters for 2 nats are less a piece than 13 for 1
        (49, {"a": "0", "b": "0", "c": "5"}),  # 49 for half a nat
        (71, {"a": "2", "b": "0", "c": "5"}),
        (102, {"a": "2", "b": "3", "c": "5"}),
        (1000, {"a": "2", "b": "3", "c": "5"}),  # all that there is
    ],
)
def test_the_cheapest_change_in_nats_per_parameter_comes_first(bound, expected):
    strategy, model = searched(None, **LOGITS)
    found = filled(strategy.distribution, model, {"params": bound}, SMALLEST, 0.05)
    assert found == expected
    assert model.of(found)["params"] == params(found) <= bound


def test_it_stops_where_little_is_left_and_keeps_every_bound():
    strategy, model = searched(None, **LOGITS)
    assert filled(strategy.distribution, model, {"params": 60}, SMALLEST, 0.2) == {"a": "0", "b": "0", "c": "5"}
    full = {"a": "2", "b": "0", "c": "5"}
    assert filled(strategy.distribution, model, {"params": 72}, full, 0.05) == full
    macs = model.of({"a": "2", "b": "0", "c": "0"})["macs"]
    assert filled(strategy.distribution, model, {"params": 1000, "macs": macs}, SMALLEST, 0.05) == {
        "a": "2", "b": "0", "c": "0",
    }  # fmt: skip


def test_what_is_excluded_is_not_chosen():
    strategy, model = searched(None, **LOGITS)
    strategy.distribution.exclude({"c": [1]})
    assert filled(strategy.distribution, model, {"params": 49}, SMALLEST, 0.05) == {"a": "1", "b": "3", "c": "0"}


def test_a_search_with_such_a_budget_has_it_as_its_child():
    strategy, model = searched(Budget(params=71, fill=True), **LOGITS)
    strategy.budget_controller.prepare(model)
    assert strategy.selection().current() == {"a": "2", "b": "0", "c": "5"}
    assert strategy.selection().candidates(4)[0] == {"a": "2", "b": "0", "c": "5"}
    report = strategy.selection().report(strategy.selection().current())
    assert report.within
    assert report.costs == {"params": 71}
    plain, model = searched(Budget(params=71), **LOGITS)
    plain.budget_controller.prepare(model)
    assert plain.selection().current() == SMALLEST
    assert repr(Budget(params=71, fill=True)) == "Budget(params=71, fill=True)"
