"""Choices that a child may not have: how probable they are, and what the entropy of the children is."""

import itertools
import math
from collections import Counter

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni.one_shot.telemetry import search_metrics
from snas_nni.resources import count_supernet
from snas_nni.resources.cost_source import CostSource
from snas_nni.resources.reach import find_reach, has_nested_choices, reach_probabilities


class Nested(ModelSpace):
    """One to three blocks, of which the last has a choice in a candidate; and a choice outside."""

    def __init__(self):
        super().__init__()
        self.first = LayerChoice({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)}, label="first")

        def block(index):
            inner = nn.Linear(3, 3)
            if index == 2:
                inner = LayerChoice({"x": nn.Linear(3, 3), "y": nn.Linear(3, 3), "z": nn.Linear(3, 3)}, label="inner")
            return LayerChoice({"plain": nn.Linear(3, 3), "other": inner}, label=f"block{index}")

        self.blocks = Repeat(block, (1, 3), label="depth")

    def forward(self, x):
        return self.blocks(self.first(x))


class Flat(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(LayerChoice([nn.Linear(3, 3), nn.Linear(3, 3)], label=f"l{i}") for i in range(2))

    def forward(self, x):
        return self.layers[1](self.layers[0](x))


@pytest.fixture
def nested(tools):
    strategy, supernet = tools.mutate(Nested(), initial_logits_std=1.0)
    return strategy.distribution, supernet, find_reach(supernet, strategy.distribution, (torch.ones(1, 3),))


def probabilities(distribution):
    return {
        label: dict(zip(choice.candidates, distribution.expected_weights(label).tolist(), strict=True))
        for label, choice in distribution.choices.items()
    }


def test_probabilities_of_having_a_choice(nested):
    distribution, _, reach = nested
    p = probabilities(distribution)
    assert reach_probabilities(reach, distribution) == pytest.approx(
        {
            "block0": 1,
            "block1": p["depth"][2] + p["depth"][3],
            "block2": p["depth"][3],
            "inner": p["depth"][3] * p["block2"]["other"],
        }
    )


def test_the_entropy_is_that_of_the_children(nested):
    """By counting all samples: those that differ in a choice which the child does not have are one child."""
    distribution, _, reach = nested
    p = probabilities(distribution)
    children = Counter()
    for values in itertools.product(*p.values()):
        sample = dict(zip(p, values, strict=True))
        had = {"first", "depth", "block0"}
        had |= {"block1"} if sample["depth"] > 1 else set()
        had |= {"block2"} if sample["depth"] > 2 else set()
        had |= {"inner"} if sample["depth"] > 2 and sample["block2"] == "other" else set()
        child = tuple((label, sample[label]) for label in sorted(had))
        children[child] += math.prod(p[label][value] for label, value in sample.items())
    assert sum(children.values()) == pytest.approx(1)
    entropy = -sum(each * math.log(each) for each in children.values())
    metrics = search_metrics(distribution, reach)
    assert metrics["search/entropy"] == pytest.approx(entropy, rel=1e-5)
    assert metrics["search/entropy"] < search_metrics(distribution)["search/entropy"]


def test_a_search_that_decided_says_so_whatever_its_child_does_not_have(nested):
    distribution, _, reach = nested
    with torch.no_grad():
        for label in ("first", "depth", "block0"):
            logits = distribution.logits_of(label)
            logits.copy_(torch.tensor([40.0] + [0.0] * (len(logits) - 1)))
    metrics = search_metrics(distribution, reach)
    assert metrics["search/entropy_share"] < 1e-6
    assert search_metrics(distribution)["search/entropy_share"] > 0.2
    assert metrics["entropy/block2"] > 0.1  # by itself it is as open as before


def test_it_is_what_counting_costs_finds(nested):
    distribution, supernet, reach = nested
    counted = count_supernet(supernet, distribution, torch.ones(1, 3))
    assert counted.reached.keys() == reach.keys() == {"block0", "block1", "block2", "inner"}
    weights = {label: distribution.expected_weights(label).tolist() for label in distribution.choices}
    for label, condition in counted.reached.items():
        assert condition.at(weights) == pytest.approx(reach[label].at(weights))


def test_where_nothing_is_nested_no_pass_is_needed(tools, monkeypatch):
    strategy, supernet = tools.mutate(Flat())
    assert not has_nested_choices(supernet)
    passes = []
    supernet.register_forward_hook(lambda *_: passes.append(1))
    assert CostSource(supernet, strategy.distribution).reach((torch.ones(2, 3), torch.zeros(2))) == {}
    assert passes == []


def test_from_a_training_batch(nested):
    distribution, supernet, reach = nested
    assert has_nested_choices(supernet)
    source = CostSource(supernet, distribution)
    assert source.reach((torch.ones(2, 3), torch.zeros(2))) == reach
    assert source.reach({"inputs": torch.ones(2, 3)}) == {}  # nobody knows which of it is the network's input
    assert source.reach((torch.ones(2, 5), torch.zeros(2))) == {}  # what does not run is no reason to stop a search


def test_looking_leaves_the_network_as_it_was(nested):
    distribution, supernet, _ = nested
    supernet.train()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    torch.manual_seed(3)
    first = torch.rand(1)
    torch.manual_seed(3)
    CostSource(supernet, distribution).reach((torch.ones(2, 3), torch.zeros(2)))
    assert torch.equal(torch.rand(1), first)
    assert supernet.training
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
