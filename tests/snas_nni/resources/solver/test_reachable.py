"""What no child within the bounds has, and the most probable children within them, against trying all children."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni import derive_child
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from snas_nni.resources import most_probable_children, unreachable
from snas_nni.resources.solver import program
from snas_nni.resources.solver.ranking import best_combinations

SIZES = {"a": 3, "b": 2, "c": 3}


@st.composite
def made_up_costs(draw):
    """Whole and fractional costs with products of two and three labels, and a bound."""
    entries = [(label, index) for label, size in SIZES.items() for index in range(size)]
    scale = draw(st.sampled_from([1.0, 0.37]))
    terms = {(): float(draw(st.integers(0, 5)))}
    for entry in entries:
        terms[(entry,)] = scale * draw(st.integers(0, 40))
    for _ in range(draw(st.integers(0, 5))):
        chosen = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=2, max_size=3, unique=True))
        term = tuple(sorted((label, draw(st.integers(0, SIZES[label] - 1))) for label in chosen))
        terms[term] = scale * draw(st.integers(-20, 40))
    return terms, draw(st.floats(0.0, 1.0)), draw(st.integers(0, 10**6))


def within(kit, case, bound):
    return [one for one in kit.indices(case.distribution) if case.model.polynomials["params"].value(one) <= bound]


@settings(max_examples=40, deadline=None)
@given(made_up_costs())
def test_exactly_what_no_child_within_the_bound_has_is_excluded(kit, drawn):
    terms, fraction, _ = drawn
    case = kit.made(SIZES, {"params": terms})
    costs = sorted(case.model.polynomials["params"].value(one) for one in kit.indices(case.distribution))
    bound = costs[int(fraction * (len(costs) - 1))]
    children = within(kit, case, bound)
    expected = {
        label: tuple(k for k in range(size) if all(child[label] != k for child in children))
        for label, size in SIZES.items()
    }
    found = unreachable(case.model, {"params": (-math.inf, bound)})
    assert found == {label: indices for label, indices in expected.items() if indices}


@settings(max_examples=30, deadline=None)
@given(made_up_costs())
def test_the_most_probable_children_come_in_exact_order(kit, drawn):
    terms, fraction, seed = drawn
    case = kit.made({**SIZES, "free": 2}, {"params": terms})
    kit.set_logits(case.distribution, seed)
    costs = sorted(case.model.polynomials["params"].value(one) for one in kit.indices(case.distribution))
    bound = costs[int(fraction * (len(costs) - 1))]
    every = [
        {label: choice.candidates[one[label]] for label, choice in case.distribution.choices.items()}
        for one in within(kit, case, bound)
    ]
    expected = sorted((case.distribution.log_probability(sample) for sample in every), reverse=True)
    mode = case.distribution.log_probability(case.distribution.mode())
    for count in (1, 5, 100):
        found = most_probable_children(case.distribution, count, case.model, {"params": (-math.inf, bound)})
        values = [case.distribution.log_probability(each.sample) for each in found]
        assert values == pytest.approx(expected[:count], abs=2e-6)
        assert [each.log_probability_given_up for each in found] == pytest.approx([mode - v for v in values], abs=1e-9)
        assert len({tuple(sorted(each.sample.items())) for each in found}) == min(count, len(every))
        assert all(case.model.of(each.sample)["params"] <= bound for each in found)


def test_without_bounds_every_kind_of_choice_is_ranked():
    choices = {
        "one": OneOf("one", ("a", "b", "c")),
        "some": SubsetOf("some", (0, 1, 2), 2),
        "any": AnyOf("any", (0, 1)),
        "list": OneOf("list", (0, 1), as_list=True),
    }
    distribution = ArchitectureDistribution(choices, seed=5, initial_std=1.0).double()
    found = most_probable_children(distribution, 1000)
    assert len(found) == 3 * 3 * 4 * 2
    values = [distribution.log_probability(each.sample) for each in found]
    assert values == sorted(values, reverse=True)
    assert sum(map(math.exp, values)) == pytest.approx(1.0)
    assert found[0].sample == distribution.mode()
    assert [each.sample for each in most_probable_children(distribution, 7)] == [each.sample for each in found[:7]]


def test_excluded_candidates_are_in_no_child(kit):
    case = kit.made({"a": 3, "b": 2}, {"params": {(("a", 0),): 5.0, (("a", 1),): 3.0, (("b", 0),): 1.0}})
    case.distribution.exclude({"a": [1], "b": [0]})
    for bounds in ({}, {"params": (-math.inf, 8.0)}):
        found = most_probable_children(case.distribution, 10, case.model, bounds)
        assert sorted(each.sample["a"] for each in found) == ["c0", "c2"]
        assert {each.sample["b"] for each in found} == {"c1"}


def test_a_cost_that_no_choice_changes_excludes_nothing_or_everything(kit):
    case = kit.made({"a": 2}, {"params": {(): 10.0}})
    assert unreachable(case.model, {"params": (-math.inf, 10.0)}) == {}
    assert len(most_probable_children(case.distribution, 5, case.model, {"params": (-math.inf, 10.0)})) == 2
    assert most_probable_children(case.distribution, 5, case.model, {"params": (-math.inf, 9.0)}) == []


def test_what_was_not_decided_in_time_stays_and_is_told(kit, monkeypatch, caplog):
    case = kit.made({"a": 3}, {"params": {(("a", 0),): 5.0, (("a", 1),): 3.0}})
    assert unreachable(case.model, {"params": (-math.inf, 3.0)}) == {"a": (0,)}
    monkeypatch.setattr(program, "SECONDS", 0.0)
    assert unreachable(case.model, {"params": (-math.inf, 3.0)}) == {}
    assert "3 candidates may exceed the budget" in caplog.text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-5, 0), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(1, 20))
def test_best_combinations_are_those_of_the_whole_product(lists, count):
    class Listed:
        def __init__(self, values):
            self.values = sorted(values, reverse=True)

        def at(self, position):
            return (self.values[position], position) if position < len(self.values) else None

    found = best_combinations([Listed(values) for values in lists], count)
    every = torch.tensor([0.0], dtype=torch.float64)
    for values in lists:
        every = (every[:, None] + torch.tensor(values, dtype=torch.float64)).flatten()
    expected = every.sort(descending=True).values[:count].tolist()
    assert [value for value, _ in found] == pytest.approx(expected, abs=1e-12)
    assert len({tuple(parts) for _, parts in found}) == len(found)


class Deeper(ModelSpace):
    """One or two blocks, each a layer of 4, 20 or 0 parameters; the second only where the depth is 2."""

    def __init__(self):
        super().__init__()
        self.blocks = Repeat(self.block, (1, 2), label="depth")

    @staticmethod
    def block(index):
        return LayerChoice(
            {
                "large": nn.Sequential(nn.Linear(2, 5, bias=False), nn.Linear(5, 2, bias=False)),
                "small": nn.Linear(2, 2, bias=False),
                "skip": nn.Identity(),
            },
            label=f"block{index}",
        )

    def forward(self, x):
        return self.blocks(x)


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (3, {"block0": (0, 1), "block1": (0, 1)}),  # one block of any kind at depth 1 would not be run
        (4, {"block0": (0,), "block1": (0,)}),
        (20, {}),
    ],
)
def test_what_is_had_only_where_nobody_runs_it_is_excluded_and_no_network_is_lost(kit, bound, expected):
    case = kit.counted(Deeper, torch.zeros(1, 2))
    assert set(case.model.reached) >= {"block1"}
    assert unreachable(case.model, {"params": (-math.inf, bound)}) == expected

    def networks(samples):
        return {str(derive_child(case.supernet, sample)) for sample in samples}

    within = [sample for sample in kit.samples(case.distribution) if case.model.of(sample)["params"] <= bound]
    names = ["large", "small", "skip"]
    left = [
        sample for sample in within if all(names.index(sample[label]) not in out for label, out in expected.items())
    ]
    assert networks(left) == networks(within)
