"""Children are judged once each: samples that differ in choices which their child does not have are one network."""

import itertools

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni import SNAS
from snas_nni.one_shot.evidence.batches import Batches
from snas_nni.one_shot.evidence.judging import Judge
from snas_nni.resources.child_selection import ChildSelection


class Deep(ModelSpace):
    """One or two blocks, each with or without normalization."""

    def __init__(self):
        super().__init__()
        self.blocks = Repeat(
            lambda index: LayerChoice(
                {"normal": nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "plain": nn.Linear(4, 4)},
                label=f"block{index}",
            ),
            (1, 2),
            label="depth",
        )

    def forward(self, x):
        return self.blocks(x)


class Evaluator(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.looked = 0

    def validation_step(self, batch, index):
        self.looked += 1
        self.log("val_acc", self.model(batch).square().mean())

    def log(self, name, value):
        """Nobody listens."""


def sample(depth, first, second):
    return {"depth": depth, "block0": first, "block1": second}


@pytest.fixture
def judged():
    torch.manual_seed(0)
    strategy = SNAS(seed=0)
    evaluator = Evaluator(strategy.mutate_model(Deep()))
    held_out, training = ([torch.randn(6, 4)] for _ in range(2))
    return Judge(evaluator, strategy.distribution, [Batches(held_out)], Batches(training)), evaluator


def test_a_network_is_judged_once(judged):
    judge, evaluator = judged
    samples = [sample(1, "normal", "plain"), sample(2, "normal", "plain"), sample(1, "normal", "normal")]
    apart = [judge(each) for each in samples]
    alone, evaluator.looked = evaluator.looked, 0
    together = judge.all_of(samples)
    assert alone == 6  # statistics and held-out data, a batch each
    assert evaluator.looked == 4
    assert [each.sample for each in together] == samples
    assert [each.metrics for each in together] == [each.metrics for each in apart]
    for one, other in zip(together, apart, strict=True):
        assert one.statistics.keys() == other.statistics.keys()
        for name, pair in one.statistics.items():
            assert all(map(torch.equal, pair, other.statistics[name]))
    assert together[0].metrics == together[2].metrics != together[1].metrics


def test_what_a_network_depends_on(judged):
    judge, _ = judged
    shallow, deep = judge(sample(1, "normal", "plain")), judge(sample(2, "normal", "plain"))
    assert shallow.depends_on == {"depth", "block0"}
    assert deep.depends_on == {"depth", "block0", "block1"}
    assert shallow.is_network_of(sample(1, "normal", "normal"))
    assert not shallow.is_network_of(sample(1, "plain", "plain"))
    assert not shallow.is_network_of(sample(2, "normal", "plain"))
    assert not deep.is_network_of(sample(2, "normal", "normal"))


def shallow_first(distribution):
    """Depth 1 is far the most probable one, the other choices are open; the most probable children."""
    with torch.no_grad():
        for label in distribution.choices:
            distribution.logits_of(label).copy_(torch.tensor([9.0 if label == "depth" else 0.1, 0.0]))
    return ChildSelection(distribution).candidates


def test_so_many_different_networks_are_judged(judged):
    judge, evaluator = judged
    ranked = shallow_first(judge._distribution)
    assert [each["depth"] for each in ranked(4)] == [1] * 4  # which are two networks
    found = judge.networks(ranked, 3)
    assert [each.sample["depth"] for each in found] == [1, 1, 2]
    assert found[0].sample["block0"] != found[1].sample["block0"]
    assert evaluator.looked == 2 * 3
    assert [each.sample for each in found] == [each for each in ranked(8) if each in [f.sample for f in found]]


def test_all_networks_of_a_space_are_judged_once_each(judged):
    judge, evaluator = judged
    ranked = shallow_first(judge._distribution)
    found = judge.networks(ranked, 100)
    assert len(found) == 2 + 4  # eight samples
    assert evaluator.looked == 2 * 6
    for first, second in itertools.combinations(found, 2):
        assert not first.is_network_of(second.sample)


def test_known_networks_are_not_judged_again(judged):
    judge, evaluator = judged
    ranked = shallow_first(judge._distribution)
    first = judge.networks(ranked, 2)
    evaluator.looked = 0
    second = judge.networks(ranked, 2, first)
    assert evaluator.looked == 2 * 2
    assert [each.sample["depth"] for each in second] == [2, 2]
    third = judge.networks(ranked, 2, [*first, *second])
    assert [each.sample["depth"] for each in third] == [2, 2]
    assert judge.networks(ranked, 2, [*first, *second, *third]) == []
