"""The program that the solver gets: columns for combinations of few labels, and the same answers with and without."""

import itertools
import logging
import math

import pytest
import torch

from snas_nni.resources.solver import program
from snas_nni.resources.solver.program import Program
from snas_nni.resources.solver.selection import cost_range, most_probable

WIDTHS = (1, 2, 3, 4, 5, 6)


def chain(labels, widths=WIDTHS):
    """Costs of layers in a row: each width times the next one."""
    return {
        ((first, i), (second, j)): float(a * b)
        for first, second in itertools.pairwise(labels)
        for i, a in enumerate(widths)
        for j, b in enumerate(widths)
    }


def names(count):
    return [f"w{n:02}" for n in range(count)]


def best_of_chain(logs, labels, bound):
    """The largest log-probability of a chain within a bound, by dynamic programming over what it costs."""
    best = {(i, 0): log for i, log in enumerate(logs[labels[0]])}
    for label in labels[1:]:
        following = {}
        for (i, cost), value in best.items():
            for j, log in enumerate(logs[label]):
                key = j, cost + WIDTHS[i] * WIDTHS[j]
                if key[1] <= bound and value + log > following.get(key, -math.inf):
                    following[key] = value + log
        best = following
    return max(best.values())


def log_probabilities(case, labels):
    return {label: torch.log_softmax(case.distribution.logits_of(label).double(), -1).tolist() for label in labels}


def test_each_combination_of_two_labels_has_a_column_that_sums_to_their_entries(kit):
    case = kit.made({"a": 3, "b": 2}, {"params": chain(["a", "b"], (1, 2))})
    made = Program(case.model, ["params"])
    assert made.grids == [("a", "b")]
    assert made.products == []
    assert (made.entries, len(made.column)) == (5, 5 + 6)
    assert made.whole.tolist() == [1] * 5 + [0] * 6  # combinations are whole numbers by themselves
    (structure,) = made.structure
    # One row for each label, and one for each entry of each of the two.
    assert structure.A.shape == (2 + 5, 11)


def test_a_triple_has_its_pairs_too(kit):
    terms = {(("a", i), ("b", j), ("c", k)): 1.0 for i in range(2) for j in range(2) for k in range(2)}
    made = Program(kit.made({"a": 2, "b": 2, "c": 2}, {"params": terms}).model, ["params"])
    assert sorted(made.grids) == [("a", "b"), ("a", "b", "c"), ("a", "c"), ("b", "c")]
    assert len(made.column) == 6 + 3 * 4 + 8


@pytest.mark.parametrize("limit", ["GRID", "ALL_GRIDS"])
def test_too_many_combinations_stay_products(kit, monkeypatch, limit):
    monkeypatch.setattr(program, limit, 8)
    made = Program(kit.made({"a": 3, "b": 3}, {"params": chain(["a", "b"], (1, 2, 3))}).model, ["params"])
    assert made.grids == []
    assert len(made.products) == 9
    assert made.whole.tolist() == [1] * (6 + 9)


def test_a_pair_that_few_terms_are_about_stays_products(kit):
    made = Program(kit.made({"a": 6, "b": 6}, {"params": {(("a", 0), ("b", 0)): 2.0}}).model, ["params"])
    assert (made.grids, len(made.products)) == ([], 1)


@pytest.mark.parametrize("grid", [0, 1024])
@pytest.mark.parametrize("bound", [40, 60, 90])
def test_the_best_child_is_the_same_either_way(kit, monkeypatch, grid, bound):
    monkeypatch.setattr(program, "GRID", grid)
    labels = names(5)
    case = kit.made(dict.fromkeys(labels, 6), {"params": chain(labels)})
    kit.set_logits(case.distribution, 3, 2.0)
    logs = log_probabilities(case, labels)
    found = most_probable(case.distribution, case.model, {"params": (-math.inf, bound)})
    reached = sum(logs[label][index] for label, index in case.model.indices(found.sample).items())
    assert reached == pytest.approx(best_of_chain(logs, labels, bound), abs=1e-5)
    assert cost_range(case.model, "params") == (4, 4 * 36)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_of_thirty_widths_is_solved_and_proven(kit, caplog, seed):
    """Dear candidates are the probable ones, as in a trained network: without the sums it is not solved in 20 s."""
    labels = names(30)
    case = kit.made(dict.fromkeys(labels, 6), {"params": chain(labels)})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for label in labels:
            slope = 8 * float(torch.rand(1, generator=generator))
            case.distribution.logits_of(label).copy_(-slope * (1 - torch.arange(6) / 5) ** 2)
    logs, bound = log_probabilities(case, labels), 29 * 36 // 4
    with caplog.at_level(logging.WARNING):
        found = most_probable(case.distribution, case.model, {"params": (-math.inf, bound)})
    assert caplog.text == ""
    reached = sum(logs[label][index] for label, index in case.model.indices(found.sample).items())
    assert reached == pytest.approx(best_of_chain(logs, labels, bound), abs=1e-4)
