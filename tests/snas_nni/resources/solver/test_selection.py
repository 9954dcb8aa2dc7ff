"""The most probable child within bounds, against trying all children."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni import SNAS, SnasError
from snas_nni.resources import cost_range, feasible, most_probable
from snas_nni.resources.solver import program, selection
from snas_nni.resources.solver.selection import dearest_found


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
        assert dearest_found(model, name) == max(costs)


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


# ---- made-up costs ---------------------------------------------------------------------------------------------------


@st.composite
def programs(draw):
    """Labels, and whole costs between 1 and a billion, products of two and three entries and negative ones included."""
    sizes = {label: draw(st.integers(1, 3)) for label in "abcd"}
    entries = [(label, index) for label, size in sizes.items() for index in range(size)]
    value = st.one_of(st.integers(1, 50), st.integers(10**6, 10**9), st.integers(-50, -1)).map(float)
    terms = {(): draw(value)}
    for _ in range(draw(st.integers(1, 9))):
        chosen = draw(st.lists(st.sampled_from(entries), min_size=1, max_size=3, unique_by=lambda entry: entry[0]))
        terms[tuple(sorted(chosen))] = draw(value)
    return sizes, terms


@pytest.mark.slow
@given(programs(), st.integers(0, 2**16), st.integers(0, 10), st.integers(-1, 1))
@settings(max_examples=150)
def test_bounds_are_exact_whatever_the_size_of_the_costs(kit, program, seed, rank, shift):
    """The bound is the cost of some child, or one more or one less: the solver's own tolerance would blur that."""
    sizes, terms = program
    case = kit.made(sizes, {"params": terms})
    kit.set_logits(case.distribution, seed, 2.0)
    polynomial = case.model.polynomials["params"]
    logs = {label: torch.log_softmax(case.distribution.logits_of(label), -1).tolist() for label in sizes}
    children = [
        (sum(logs[label][index] for label, index in chosen.items()), polynomial.value(chosen))
        for chosen in kit.indices(case.distribution)
    ]
    costs = sorted({cost for _, cost in children})
    assert cost_range(case.model, "params") == (costs[0], costs[-1])
    bound = costs[rank % len(costs)] + shift
    fitting = [log_p for log_p, cost in children if cost <= bound]
    bounds = {"params": (-math.inf, bound)}
    assert feasible(case.model, bounds) == bool(fitting)
    chosen = most_probable(case.distribution, case.model, bounds)
    assert (chosen is not None) == bool(fitting)
    if chosen is not None:
        best = max(log_p for log_p, _ in children)
        assert case.model.of(chosen.sample)["params"] <= bound
        assert chosen.log_probability_given_up == pytest.approx(best - max(fitting), abs=1e-5)


def test_children_a_hair_above_the_bound_are_no_solutions(kit):
    """Measured costs are no whole numbers; 64 equally cheap children lie within the solver's tolerance."""
    step = 1e-9
    sizes = dict.fromkeys("abcdefg", 2)
    terms = {((label, 0),): 1.0 + (step if label != "g" else 0.0) for label in sizes}
    terms |= {((label, 1),): 1.0 for label in sizes if label != "g"} | {(("g", 1),): 1.0 + 100 * step}
    case = kit.made(sizes, {"params": terms})
    with torch.no_grad():
        for label in sizes:  # the dearer one is the more probable, everywhere
            case.distribution.double().logits_of(label).copy_(torch.tensor([1.0, 0.0]))
    chosen = most_probable(case.distribution, case.model, {"params": (-math.inf, 7.0 + 0.5 * step)})
    assert chosen is None or case.model.of(chosen.sample)["params"] <= 7.0 + 0.5 * step


def test_labels_without_a_cost_stay_at_their_mode(kit):
    case = kit.made({"a": 2, "idle": 3}, {"params": {(("a", 0),): 10.0}, "macs": {(("idle", 2),): 5.0}})
    kit.set_logits(case.distribution, 4)
    mode = case.distribution.mode()
    chosen = most_probable(case.distribution, case.model, {"params": (-math.inf, 9.0)})
    assert chosen.sample == {"a": "c1", "idle": mode["idle"]}


def test_a_cost_that_no_choice_changes_is_met_or_not(kit):
    case = kit.made({"a": 2}, {"params": {(): 10.0}})
    assert cost_range(case.model, "params") == (10.0, 10.0)
    assert feasible(case.model, {"params": (-math.inf, 10.0)})
    assert not feasible(case.model, {"params": (-math.inf, 9.0)})
    assert most_probable(case.distribution, case.model, {"params": (-math.inf, 9.0)}) is None
    chosen = most_probable(case.distribution, case.model, {"params": (-math.inf, 10.0)})
    assert (chosen.sample, chosen.log_probability_given_up) == (case.distribution.mode(), 0.0)


class TestOutOfTime:
    @pytest.fixture(autouse=True)
    def no_time(self, monkeypatch):
        monkeypatch.setattr(program, "SECONDS", 0.0)
        monkeypatch.setattr(selection, "RANGE_SECONDS", 0.0)

    def test_all_children_are_within_the_range_that_is_told(self, searched, caplog):
        strategy, model = searched
        for name in ("params", "macs", "memory_access"):
            costs = [model.of(sample)[name] for sample, _ in every_child(strategy)]
            low, high = cost_range(model, name)
            assert 0 <= low <= min(costs)
            assert max(costs) <= high < 10 * max(costs)
            assert f"{name}: the range of costs was not found in 0 s" in caplog.text

    def test_a_share_is_of_a_child_that_there_is(self, searched):
        strategy, model = searched
        first = {label: choice.value([0]) for label, choice in strategy.distribution.choices.items()}
        for name in ("params", "macs", "memory_access"):
            costs = [model.of(sample)[name] for sample, _ in every_child(strategy)]
            assert model.of(first)[name] <= dearest_found(model, name) <= max(costs)

    def test_a_budget_is_not_refused(self, searched):
        _, model = searched
        assert feasible(model, {"params": (-math.inf, 100.0)})

    def test_selection_says_that_it_does_not_know(self, searched):
        strategy, model = searched
        with pytest.raises(SnasError, match="no child within the bounds was found in 0 s"):
            most_probable(strategy.distribution, model, {"params": (-math.inf, 100.0)})
