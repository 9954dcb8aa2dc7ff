"""One sample per step, and how modules read it."""

import copy

import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from snas_nni.distribution.sample import ChoiceReader, CurrentSample
from snas_nni.errors import SnasError

CHOICES = {
    "op": OneOf("op", ("a", "b", "c")),
    "pair": SubsetOf("pair", (0, 1, 2), 2),
    "any": AnyOf("any", (0, 1)),
}


class TwoLayersOfOneLabel(ModelSpace):
    def __init__(self):
        super().__init__()
        self.first = LayerChoice([nn.Linear(3, 3), nn.Identity()], label="shared")
        self.second = LayerChoice([nn.Linear(3, 3), nn.Tanh()], label="shared")
        self.mix = InputChoice(2, None, label="inputs")

    def forward(self, x):
        y = self.first(x)
        return self.mix([y, self.second(y)])


@pytest.fixture
def distribution():
    return ArchitectureDistribution(CHOICES, seed=1)


def test_modules_with_one_label_see_the_same_tensor(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel())
    with strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        first, second = supernet.first.reader.weights(), supernet.second.reader.weights()
        assert first.data_ptr() == second.data_ptr() == sample.weights["shared"].data_ptr()
        assert torch.equal(first, second)
        assert supernet.first.reader.numbers() == supernet.second.reader.numbers() == first.tolist()


def test_the_shared_sample_is_what_both_layers_run_with(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel(), skip_tolerance=0)
    x = torch.randn(2, 3)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        w, g = sample.weights["shared"][0], sample.weights["inputs"][0]
        y = w[0] * supernet.first[0](x) + w[1] * x
        z = w[0] * supernet.second[0](y) + w[1] * torch.tanh(y)
        torch.testing.assert_close(supernet(x), g[0] * y + g[1] * z)


def test_each_layer_has_its_own_sample_on_request(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel(), sample_per_layer=True, skip_tolerance=0)
    x = torch.randn(2, 3)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        assert sample.weights["shared"].shape == (2, 2)
        first, second = supernet.first.reader.weights(), supernet.second.reader.weights()
        assert not torch.allclose(first, second)
        assert supernet.first.reader.numbers() == first.tolist()
        assert supernet.second.reader.numbers() == second.tolist()
        g = sample.weights["inputs"][0]
        y = first[0] * supernet.first[0](x) + first[1] * x
        z = second[0] * supernet.second[0](y) + second[1] * torch.tanh(y)
        torch.testing.assert_close(supernet(x), g[0] * y + g[1] * z)


def test_per_layer_samples_are_gone_at_a_one_hot_sample(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel(), sample_per_layer=True)
    with strategy.distribution.use(strategy.distribution.one_hot_sample({"shared": 1, "inputs": [0]})):
        assert supernet.first.reader.numbers() == supernet.second.reader.numbers() == [0.0, 1.0]


def test_numbers_are_the_weights(distribution):
    sample = distribution.draw(0.5)
    for label in CHOICES:
        assert sample.numbers(label) == sample.weights[label][0].tolist()


def test_shapes(distribution):
    sample = distribution.draw(0.5)
    assert {k: tuple(v.shape) for k, v in sample.log_rows.items()} == {
        "op": (1, 1, 3),
        "pair": (1, 1, 3),
        "any": (1, 2, 2),
    }
    assert {k: tuple(v.shape) for k, v in sample.weights.items()} == {"op": (1, 3), "pair": (1, 3), "any": (1, 2)}
    assert list(sample.weights) == list(CHOICES)


def test_values_are_the_largest_entries(distribution):
    for _ in range(20):
        sample = distribution.draw(0.5)
        values = sample.values()
        assert values["op"] == "abc"[int(sample.weights["op"].argmax())]
        assert values["any"] == [k for k in (0, 1) if float(sample.weights["any"][0, k]) > 0.5]
        left_out = int(sample.weights["pair"].argmin())
        assert values["pair"] == [k for k in (0, 1, 2) if k != left_out]


def test_only_a_one_hot_sample_says_so(distribution):
    assert not distribution.draw(1e-3).is_one_hot
    assert distribution.mode_sample().is_one_hot


def test_without_a_sample_the_mode_runs_and_then_the_one_that_was_asked_for(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel())
    inputs, distribution = torch.randn(2, 3), strategy.distribution
    assert torch.equal(supernet(inputs), tools.run_at(distribution, supernet, distribution.mode(), inputs))
    distribution.current.drawn = distribution.draw(1.0)
    with distribution.use(distribution.current.drawn):
        expected = supernet(inputs)
    assert torch.equal(supernet(inputs), expected)


def test_a_reader_of_no_distribution_names_the_label_and_the_way_out():
    reader = ChoiceReader(CurrentSample(), OneOf("shared", [1, 2]), 0)
    with pytest.raises(SnasError, match=r"label 'shared'.*distribution\.use.*draw.*mode_sample"):
        reader.weights()


def test_the_sample_before_comes_back_whatever_happens(distribution):
    current = distribution.current
    outer, inner = distribution.draw(1.0), distribution.draw(1.0)
    with distribution.use(outer):
        with pytest.raises(ZeroDivisionError), distribution.use(inner):
            1 / (current.sample is not inner)
        assert current.sample is outer
    assert current.sample is None


def test_a_copied_supernet_reads_the_same_sample(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel())
    x = torch.randn(2, 3)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)):
        copied = copy.deepcopy(supernet)  # a graph tensor within reach would make this raise
        assert torch.equal(copied(x), supernet(x))
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)):
        assert torch.equal(copied(x), supernet(x))


def test_a_copy_made_while_a_sample_has_a_graph(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel())
    with strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        assert sample.weights["shared"].grad_fn is not None
        copy.deepcopy(supernet)


def test_what_may_be_left_out_is_a_share_of_the_temperature_or_of_what_is_undecided(tools):
    strategy, supernet = tools.mutate(TwoLayersOfOneLabel(), skip_tolerance=0.02)
    for temperature in (1.0, 0.25, 0.05):
        sample = strategy.distribution.draw(temperature)
        with strategy.distribution.use(sample):
            assert supernet.first.reader.negligible_share() == 0.02 * min(temperature, sample.undecided())
