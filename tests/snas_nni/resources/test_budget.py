"""Budgets: what is refused, how the multiplier moves, what the child is."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, Budget, SettingError, SnasError
from snas_nni.resources import BudgetController, BudgetReport, cost_range


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
    controller = BudgetController(budget, **{"pull": "expected", **settings})
    controller.prepare(strategy.cost_model(torch.zeros(1, 4)))
    return strategy.distribution, controller


@pytest.mark.parametrize(("bound", "words"), [(-1, "positive"), (float("inf"), "finite"), (0, "positive")])
def test_a_bound_that_is_no_bound_is_refused(bound, words):
    with pytest.raises(SettingError, match=words):
        Budget(params=bound)


@pytest.mark.parametrize("bound", ["0%", "101%", "-5%", "many", True])
def test_a_share_that_is_none_is_refused(bound):
    with pytest.raises(SettingError, match="budget of params is"):
        Budget(params=bound)


def test_a_share_is_of_the_dearest_child():
    strategy = SNAS(seed=0)
    strategy.mutate_model(NeverFree())
    controller = BudgetController(Budget(params="50 %", macs="100%", activation_peak="100%"))
    model = strategy.cost_model(torch.zeros(1, 4))
    controller.prepare(model)
    assert controller.bounds.bounds["params"] == 45  # of 90
    assert controller.bounds.bounds["macs"] == cost_range(model, "macs")[1]
    assert list(controller.bounds.binding) == ["params"]
    report = controller.select(strategy.distribution)
    assert report.within
    assert report.bounds["params"] == 45
    assert report.costs["params"] in (10, 30)


def test_a_budget_without_bounds_is_refused():
    with pytest.raises(SettingError, match="at least one of params, macs, memory_access, latency_ms, activation_peak"):
        Budget()


class NeverFree(Chain):
    """A chain with a head of 10 parameters."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(super().forward(x))


def test_a_budget_below_the_cheapest_child_is_refused_with_both_ends_of_the_range():
    strategy = SNAS(seed=0)
    strategy.mutate_model(NeverFree())
    model = strategy.cost_model(torch.zeros(1, 4))
    with pytest.raises(SettingError, match="below the cheapest child") as refused:
        BudgetController(Budget(params=9)).prepare(model)
    assert "(10; the dearest has 90)" in str(refused.value)


@pytest.mark.parametrize("bound", [90, 91, 1e9])
def test_a_budget_that_every_child_meets_is_a_note_and_changes_nothing(bound):
    strategy = SNAS(seed=0)
    strategy.mutate_model(NeverFree())
    controller = BudgetController(Budget(params=bound))
    controller.prepare(strategy.cost_model(torch.zeros(1, 4)))
    assert controller.bounds.excluded == {}
    assert "every child of the space is within" in controller.bounds.notes[0]
    assert "the dearest has 90" in controller.bounds.notes[0]
    term = controller(strategy.distribution, strategy.distribution.draw(0.1), 0).value
    assert float(term) == 0
    report = controller.select(strategy.distribution)
    assert report.sample == strategy.distribution.mode()
    assert str(report).endswith(controller.bounds.notes[0])


def test_the_term_is_the_augmented_lagrangian_and_the_multiplier_follows():
    distribution, controller = made(Budget(params=32), rate=0.5, stiffness=4.0, final_temperature=1.0)
    sample = distribution.draw(1.0)  # the temperature does not fall: the bound is tight from the start
    # At uniform logits 40 of 80 parameters are expected: a violation of 40 / 32 - 1 = 0.25.
    first = controller(distribution, sample, 0).value
    assert float(first) == pytest.approx((4 * 0.25) ** 2 / 8)
    assert controller.multipliers["params"] == pytest.approx(0.5 * 0.25)
    second = controller(distribution, sample, 1).value
    assert float(second) == pytest.approx(((0.125 + 1.0) ** 2 - 0.125**2) / 8)
    second.backward()
    # d E[C] / d a for each label is 20 p (1 - p) = 5; the factor is max(0, m + r g) / budget.
    for label in distribution.choices:
        assert distribution.logits_of(label).grad.tolist() == pytest.approx([1.125 * 5 / 32, -1.125 * 5 / 32])


def test_a_budget_that_does_not_bind_has_no_gradient_and_no_multiplier():
    distribution, controller = made(Budget(params=79))
    for step in range(5):
        term = controller(distribution, distribution.draw(1.0), step).value
    term.backward()
    assert controller.multipliers == {"params": 0.0}
    assert not controller.binding["params"]
    assert all(not distribution.logits_of(label).grad.any() for label in distribution.choices)


def test_the_bound_tightens_with_the_temperature():
    distribution, controller = made(Budget(params=20), rate=1.0)
    assert float(controller(distribution, distribution.draw(1.0), 0).value) == 0.0  # where it starts is no violation
    assert float(controller(distribution, distribution.draw(0.65), 1).value) > 0.0
    assert not controller.binding["params"]
    controller(distribution, distribution.draw(0.1), 2)
    assert controller.binding["params"]


def test_the_child_is_within_the_budget_and_close_to_it_only_where_that_is_a_target():
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
    controller.binding["params"] = True  # "at most" is not "about", whatever held the search back
    assert controller.select(distribution).costs == {"params": 0.0}
    _, aiming = made(Budget(params=45, tolerance=0.2, target=True))
    assert aiming.select(distribution).costs == {"params": 40.0}


def test_candidates_within_a_target_come_first_and_the_others_after_them():
    distribution, controller = made(Budget(params=45, tolerance=0.2, target=True))
    costs = [controller.bounds.model.of(sample)["params"] for sample in controller.ranked(distribution, 100)]
    assert costs == [40.0] * 6 + costs[6:]
    assert sorted(costs[6:]) == [0.0] + [20.0] * 4


def test_the_state_goes_into_a_checkpoint_and_back():
    distribution, controller = made(Budget(params=32))
    for temperature in (1.0, 0.5, 0.1):
        controller(distribution, distribution.draw(temperature), 0)
    _, other = made(Budget(params=32))
    other.load_state_dict(controller.state_dict())
    assert other.state_dict() == controller.state_dict()
    assert other.multipliers["params"] > 0


# ---- made-up costs ---------------------------------------------------------------------------------------------------

TWO_COSTS = {
    "params": {(): 10.0, (("a", 0),): 10.0, (("b", 1),): 40.0, (("a", 0), ("b", 1)): 30.0},
    "macs": {(("a", 1),): 100.0, (("b", 0),): 50.0},
}


def two(kit, budget, **settings):
    case = kit.made({"a": 2, "b": 2}, TWO_COSTS)
    case.controller = BudgetController(budget, **{"final_temperature": 1.0, "pull": "expected", **settings})
    case.controller.prepare(case.model)
    return case


def test_bounds_that_exclude_each_other_are_refused(kit):
    """20 params need a = 1 or b = 0, which costs 50 MACs or more; 90 and 50 by themselves are possible."""
    with pytest.raises(SettingError, match="no child of the space meets all bounds of the budget together"):
        two(kit, Budget(params=45, macs=40))
    for bounds in ({"params": 45}, {"macs": 40}, {"params": 45, "macs": 60}):
        two(kit, Budget(**bounds))


def test_costs_that_cannot_bound_are_refused(kit):
    with pytest.raises(SettingError, match="no cost 'latency_ms'; there are params, macs"):
        two(kit, Budget(latency_ms=5.0))
    with pytest.raises(SettingError, match="activation_peak was not counted"):
        two(kit, Budget(activation_peak=5.0))


@pytest.mark.parametrize(
    "settings", [{"rate": 0.0}, {"rate": float("nan")}, {"stiffness": -1.0}, {"stiffness": float("inf")},
                 {"final_temperature": -0.1}, {"final_temperature": float("nan")}],
)  # fmt: skip
def test_a_controller_outside_its_range_is_refused(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        BudgetController(Budget(params=5.0), **settings)


def test_an_unknown_pull_is_refused():
    with pytest.raises(SettingError, match="pull of a budget's controller"):
        BudgetController(Budget(params=5.0), pull="mean")


@pytest.mark.parametrize("tolerance", [0.0, 1.0, float("nan")])
def test_tolerances_outside_their_range_are_refused(tolerance):
    with pytest.raises(SettingError, match=r"in \(0, 1\)"):
        Budget(params=5.0, tolerance=tolerance)


def test_one_bound_that_is_zero_is_not_overlooked_beside_another():
    with pytest.raises(SettingError, match="budget of params must be positive"):
        Budget(params=0, macs=100)


def test_the_gradient_is_that_of_each_violation_times_its_multiplier(kit):
    """With several bounds, in float64, against finite differences of the closed form."""
    case = two(kit, Budget(params=40, macs=60), rate=0.3, stiffness=2.0)
    kit.set_logits(case.distribution, 1)
    logits = [case.distribution.logits_of(label) for label in ("a", "b")]

    def closed_form(multipliers):
        p, q = (torch.softmax(row.detach(), -1).tolist() for row in logits)
        expected = {
            "params": 10 + 10 * p[0] + 40 * q[1] + 30 * p[0] * q[1],
            "macs": 100 * p[1] + 50 * q[0],
        }
        bounds = {"params": 40, "macs": 60}
        return {
            name: (max(0.0, multipliers[name] + 2 * (expected[name] / bounds[name] - 1)) ** 2 - multipliers[name] ** 2)
            / 4
            for name in bounds
        }

    for step in range(4):
        multipliers = dict(case.controller.multipliers)
        term = case.controller(case.distribution, case.distribution.draw(1.0), step).value
        assert float(term) == pytest.approx(sum(closed_form(multipliers).values()), rel=1e-12)
        for row, gradient in zip(logits, torch.autograd.grad(term, logits), strict=True):
            for k in range(2):
                with torch.no_grad():
                    row[k] += 1e-5
                    above = sum(closed_form(multipliers).values())
                    row[k] -= 2e-5
                    below = sum(closed_form(multipliers).values())
                    row[k] += 1e-5
                assert float(gradient[k]) == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-8)


def test_the_multiplier_falls_again_when_the_cost_is_below_the_budget(kit):
    case = two(kit, Budget(params=40), rate=1.0)
    case.controller.multipliers["params"] = 0.5
    with torch.no_grad():
        case.distribution.logits_of("a").copy_(torch.tensor([-30.0, 30.0]))
        case.distribution.logits_of("b").copy_(torch.tensor([30.0, -30.0]))  # 10 of 40: a violation of -0.75
    case.controller(case.distribution, case.distribution.draw(1.0), 0)
    assert case.controller.multipliers["params"] == 0.0


def test_gradient_descent_on_the_term_alone_meets_the_budget_exactly(kit):
    """Dual ascent settles where the expected cost is the budget, not somewhat above as with a fixed penalty."""
    case = two(kit, Budget(params=40), rate=0.5, stiffness=1.0)
    case.distribution.double()
    task = torch.optim.SGD(case.distribution.parameters(), lr=0.5)
    for step in range(1200):
        task.zero_grad()
        wish = -0.2 * case.model.expected("params", case.distribution) / 40  # the task wants a dear child
        (wish + case.controller(case.distribution, case.distribution.draw(1.0), step).value).backward()
        task.step()
    assert float(case.model.expected("params", case.distribution)) == pytest.approx(40, rel=1e-3)
    assert case.controller.multipliers["params"] == pytest.approx(0.2, rel=1e-2)  # the price of the wish


@pytest.mark.parametrize(("first", "final"), [(0.5, 0.5), (0.03, 0.03)])
def test_where_the_temperature_does_not_fall_the_bound_is_tight_from_the_start(kit, first, final):
    """A constant schedule, and a search of one epoch that begins at the final temperature."""
    case = two(kit, Budget(params=20), final_temperature=final)
    assert float(case.controller(case.distribution, case.distribution.draw(first), 0).value) > 0
    assert case.controller.binding["params"]


@pytest.mark.parametrize("final", [0.0, 0.03, 0.5, 0.9])
def test_the_bound_reaches_the_budget_when_thirty_percent_of_the_fall_are_left(kit, final):
    case = two(kit, Budget(params=20), final_temperature=final)
    fall = 1.0 - final
    for left, looseness in ((1.0, 1.0), (0.65, 0.5), (0.3, 0.0), (0.1, 0.0)):
        assert case.controller._looseness(final + left * fall) == pytest.approx(looseness, abs=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "exponential", "cosine"])
def test_a_budget_tightens_with_the_time_of_the_fall_and_not_with_how_fast_it_is(schedule):
    strategy = SNAS(budget=Budget(params=45), temperature_schedule=schedule)
    controller, temperature = strategy.budget_controller, strategy.settings.temperature
    for progress, looseness in ((0.0, 1.0), (0.35, 0.5), (0.7, 0.0), (1.0, 0.0)):
        assert controller._looseness(temperature(progress)) == pytest.approx(looseness, abs=1e-12)


def test_the_strategy_tells_the_controller_where_its_temperature_ends():
    for settings, end in (
        ({}, 0.03),
        ({"final_temperature": 0.4}, 0.4),
        ({"temperature_schedule": lambda p: 2 - p}, 1.0),
    ):
        strategy = SNAS(budget=Budget(params=45), **settings)
        assert strategy.budget_controller.final_temperature == end


def test_a_target_is_met_from_below_also_where_the_search_was_not_held_back(kit):
    cheap = torch.tensor([[0.0, 2.0], [2.0, 0.0]])  # the mode: a = 1, b = 0, with 10 params
    for target, expected in ((False, 10.0), (True, 50.0)):
        case = two(kit, Budget(params=52, target=target))
        with torch.no_grad():
            case.distribution.logits_of("a").copy_(cheap[0])
            case.distribution.logits_of("b").copy_(cheap[1])
        report = case.controller.select(case.distribution)
        assert report.costs == {"params": expected}
        assert report.mode_costs == {"params": 10.0}
        assert report.log_probability_given_up == pytest.approx(2.0 if target else 0.0)


def test_a_target_that_no_child_hits_falls_back_to_what_is_below(kit):
    case = two(kit, Budget(params=49, target=True))
    assert case.controller.select(case.distribution).within
    assert case.controller.select(case.distribution).costs["params"] <= 20


def test_the_report_names_what_is_over():
    report = BudgetReport(
        sample={},
        within=False,
        costs={"params": 1_200.0, "macs": 5.0},
        mode_costs={"params": 1_300.0, "macs": 5.0},
        expected_costs={"params": 1_250.0, "macs": 4.5},
        bounds={"params": 1_000.0, "macs": 10.0},
        log_probability_given_up=0.0,
    )
    assert str(report).splitlines() == [
        "params: 1,200 of 1,000 (120.0 %, OVER BUDGET); mode 1,300, expected 1,250",
        "macs: 5 of 10 (50.0 %); mode 5, expected 4.5",
    ]


def test_metrics_are_those_of_the_moment(kit):
    case = two(kit, Budget(params=40), pull="both")
    kit.set_logits(case.distribution, 3)
    case.controller.multipliers["params"] = 0.25
    case.controller.sample_multipliers["params"] = 0.5
    assert case.controller.metrics(case.distribution) == {
        "budget/params/multiplier": 0.25,
        "budget/params/sample_multiplier": 0.5,
        "budget/params/expected": pytest.approx(float(case.model.expected("params", case.distribution))),
        "budget/params/mode": case.model.of(case.distribution.mode())["params"],
    }


# ---- what is drawn ---------------------------------------------------------------------------------------------------


def test_the_excess_of_the_sample_is_held_back_and_its_multiplier_falls_again(kit):
    case = two(kit, Budget(params=40), rate=0.5, stiffness=2.0, pull="sampled", allowance=0.1)
    case.distribution.double()
    dear = case.distribution.one_hot_sample({"a": "c0", "b": "c1"})  # 90 params: an excess of 50 / 40
    excess = 50 / 40
    assert float(case.controller(case.distribution, dear, 0).value) == pytest.approx(2 * excess**2 / 2)
    rise = 0.5 * (excess - 0.1)
    assert case.controller.sample_multipliers["params"] == pytest.approx(rise)
    assert float(case.controller(case.distribution, dear, 1).value) == pytest.approx(rise * excess + excess**2)
    cheap = case.distribution.one_hot_sample({"a": "c1", "b": "c0"})  # 10 params
    for step in range(2 * 23):  # each lets it fall by 0.5 * 0.1
        assert float(case.controller(case.distribution, cheap, step).value) == 0
    assert case.controller.sample_multipliers["params"] == 0
    assert case.controller.multipliers["params"] == 0


def test_the_gradient_of_the_excess_goes_through_the_sample(kit):
    """dL/da = (n + r h) dC(Z)/da / b, with dC(Z)/da through the relaxed Z, in float64 against finite differences."""
    case = two(kit, Budget(params=20), stiffness=2.0, pull="sampled")
    kit.set_logits(case.distribution, 1)
    case.controller.sample_multipliers["params"] = 0.7
    logits = [case.distribution.logits_of(label) for label in ("a", "b")]

    def value():
        sample = case.distribution.draw(0.5, torch.Generator().manual_seed(4))
        case.controller.sample_multipliers["params"] = 0.7
        return case.controller(case.distribution, sample, 0).value

    term = value()
    assert float(term) > 0
    for row, gradient in zip(logits, torch.autograd.grad(term, logits), strict=True):
        for k in range(2):
            with torch.no_grad():
                row[k] += 1e-5
                above = float(value())
                row[k] -= 2e-5
                below = float(value())
                row[k] += 1e-5
            assert float(gradient[k]) == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-8)


def test_a_mixture_around_the_bound_is_held_back_only_by_its_samples(kit):
    """Half of 90 and half of 10 parameters expects 50 of 52; every other sample costs 90."""
    for pull, binds in (("expected", False), ("sampled", True), ("both", True)):
        case = two(kit, Budget(params=52), pull=pull)
        with torch.no_grad():
            case.distribution.logits_of("a").copy_(torch.tensor([0.0, 0.0]))
            case.distribution.logits_of("b").copy_(torch.tensor([-0.2, 0.2]))
        assert float(case.model.expected("params", case.distribution)) < 52
        for step in range(20):
            case.controller(case.distribution, case.distribution.draw_single_path(1.0), step)
        assert case.controller.binding["params"] is binds


def test_both_pulls_leave_the_samples_alone_until_the_bound_is_tight(kit):
    case = two(kit, Budget(params=20), pull="both", final_temperature=0.0)
    dear = case.distribution.one_hot_sample({"a": "c0", "b": "c1"})
    for temperature, held in ((1.0, False), (0.5, False), (0.3, True)):
        dear.temperature = temperature
        case.controller(case.distribution, dear, 0)
        assert (case.controller.sample_multipliers["params"] > 0) is held


def test_an_older_checkpoint_goes_on(kit):
    case = two(kit, Budget(params=40))
    state = {"multipliers": {"params": 0.3}, "binding": {"params": True}, "start": {"params": 50.0}}
    case.controller.load_state_dict({**state, "initial_temperature": 1.0})
    assert case.controller.state_dict()["start_violation"] == {"params": pytest.approx(0.25)}
    assert case.controller.multipliers == {"params": 0.3}


def test_an_unprepared_controller_says_so(kit):
    case = two(kit, Budget(params=40))
    with pytest.raises(SnasError, match="prepare"):
        BudgetController(Budget(params=40)).select(case.distribution)


# ---- drawing anew ----------------------------------------------------------------------------------------------------


def test_late_samples_are_of_children_within_the_budget(kit):
    """At uniform logits half of the children cost at most 20; 20 redraws miss all of them once in 2^21 draws."""
    case = two(kit, Budget(params=20), redraws=20, final_temperature=0.0)
    case.controller._looseness(1.0)

    def share(temperature):
        drawn = [case.controller.draw(lambda: case.distribution.draw(temperature)) for _ in range(200)]
        return sum(case.controller.bounds.meets(sample.values()) for sample in drawn) / 200

    assert share(0.1) == 1.0
    assert 0.3 < share(0.9) < 0.7  # the bound is not tight yet; the standard error is 0.035
    case.controller.redraws = 0
    assert 0.3 < share(0.1) < 0.7


def test_a_sample_that_is_never_within_is_drawn_so_often_and_no_more(kit):
    case = two(kit, Budget(params=20), redraws=7)
    dear, drawn = case.distribution.one_hot_sample({"a": "c0", "b": "c1"}), []
    dear.temperature = 1.0

    def draw():
        drawn.append(1)
        return dear

    assert case.controller.draw(draw) is dear
    assert len(drawn) == 8


def test_where_nothing_binds_nothing_is_drawn_anew(kit):
    case, drawn = two(kit, Budget(params=1000), redraws=7), []
    case.controller.draw(lambda: drawn.append(1) or case.distribution.draw(1.0))
    assert len(drawn) == 1


def test_a_negative_number_of_redraws_is_refused():
    with pytest.raises(SettingError, match="redraws"):
        BudgetController(Budget(params=5.0), redraws=-1)
