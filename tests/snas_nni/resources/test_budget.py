"""Budgets: what is refused, how the multiplier moves, what the child is."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, Budget, SettingError
from snas_nni.resources import BudgetController


class Chain(ModelSpace):
    """Four choices between nothing and 20 parameters."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            *(LayerChoice({"linear": nn.Linear(4, 4), "skip": nn.Identity()}, label=f"layer{i}") for i in range(4))
        )

    def forward(self, x):
        return self.layers(x)


def made(budget, **settings):
    strategy = SNAS(seed=0, initial_logits_std=0.0)
    strategy.mutate_model(Chain())
    controller = BudgetController(budget, **settings)
    controller.prepare(strategy.cost_model(torch.zeros(1, 4)))
    return strategy.distribution, controller


@pytest.mark.parametrize(("bound", "words"), [(-1, "positive"), (float("inf"), "finite"), (0, "positive")])
def test_a_bound_that_is_no_bound_is_refused(bound, words):
    with pytest.raises(SettingError, match=words):
        Budget(params=bound)


def test_a_budget_without_bounds_is_refused():
    with pytest.raises(SettingError, match="at least one of params, macs, memory_access, latency_ms"):
        Budget()


def test_a_budget_below_the_cheapest_or_above_the_dearest_child_is_refused_with_both_numbers():
    class NeverFree(Chain):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(super().forward(x))

    strategy = SNAS(seed=0)
    strategy.mutate_model(NeverFree())
    model = strategy.cost_model(torch.zeros(1, 4))
    for bound, words in ((9, "below the cheapest child"), (90, "not below the dearest child")):
        with pytest.raises(SettingError, match=words) as refused:
            BudgetController(Budget(params=bound)).prepare(model)
        assert "10" in str(refused.value)
        assert "90" in str(refused.value)


def test_the_term_is_the_augmented_lagrangian_and_the_multiplier_follows():
    distribution, controller = made(Budget(params=32), rate=0.5, stiffness=4.0, final_temperature=1.0)
    sample = distribution.draw(1.0)  # the temperature does not fall: the bound is tight from the start
    # At uniform logits 40 of 80 parameters are expected: a violation of 40 / 32 - 1 = 0.25.
    first = controller(distribution, sample, 0)
    assert float(first) == pytest.approx((4 * 0.25) ** 2 / 8)
    assert controller.multipliers["params"] == pytest.approx(0.5 * 0.25)
    second = controller(distribution, sample, 1)
    assert float(second) == pytest.approx(((0.125 + 1.0) ** 2 - 0.125**2) / 8)
    second.backward()
    # d E[C] / d a for each label is 20 p (1 - p) = 5; the factor is max(0, m + r g) / budget.
    for label in distribution.choices:
        assert distribution.logits_of(label).grad.tolist() == pytest.approx([1.125 * 5 / 32, -1.125 * 5 / 32])


def test_a_budget_that_does_not_bind_has_no_gradient_and_no_multiplier():
    distribution, controller = made(Budget(params=79))
    for step in range(5):
        term = controller(distribution, distribution.draw(1.0), step)
    term.backward()
    assert controller.multipliers == {"params": 0.0}
    assert not controller.binding["params"]
    assert all(not distribution.logits_of(label).grad.any() for label in distribution.choices)


def test_the_bound_tightens_with_the_temperature():
    distribution, controller = made(Budget(params=20), rate=1.0)
    assert float(controller(distribution, distribution.draw(1.0), 0)) == 0.0  # where it starts is no violation
    assert float(controller(distribution, distribution.draw(0.65), 1)) > 0.0
    assert not controller.binding["params"]
    controller(distribution, distribution.draw(0.1), 2)
    assert controller.binding["params"]


def test_the_child_is_within_the_budget_and_close_to_it_where_it_binds():
    distribution, controller = made(Budget(params=45, tolerance=0.2))
    with torch.no_grad():
        for label in distribution.choices:
            distribution.logits_of(label).copy_(torch.tensor([1.0, 0.0]))  # every mode costs 20
    report = controller.select(distribution)
    assert (report.costs, report.mode_costs, report.within) == ({"params": 40.0}, {"params": 80.0}, True)
    assert report.log_probability_given_up == pytest.approx(2.0)
    assert "40 of 45 (88.9 %)" in str(report)
    with torch.no_grad():
        for label in distribution.choices:
            distribution.logits_of(label).copy_(torch.tensor([0.0, 1.0]))  # every mode costs nothing
    assert controller.select(distribution).costs == {"params": 0.0}
    controller.binding["params"] = True
    assert controller.select(distribution).costs == {"params": 40.0}


def test_the_state_goes_into_a_checkpoint_and_back():
    distribution, controller = made(Budget(params=32))
    for temperature in (1.0, 0.5, 0.1):
        controller(distribution, distribution.draw(temperature), 0)
    _, other = made(Budget(params=32))
    other.load_state_dict(controller.state_dict())
    assert other.state_dict() == controller.state_dict()
    assert other.multipliers["params"] > 0
