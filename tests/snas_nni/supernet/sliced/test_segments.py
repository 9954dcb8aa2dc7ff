"""Sizes that are sums of choices: layers behind a concatenation."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import MutableBatchNorm2d, MutableConv2d, MutableLinear

from snas_nni import SNAS, derive_child
from snas_nni.resources import count_child
from snas_nni.supernet.sliced.segments import Segments, parts_of, segmented

IMAGE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def concatenating(self):
    a, b = nni.choice("a", [4, 2]), nni.choice("b", [6, 3, 2])
    self.first, self.second = MutableConv2d(4, a, 1), MutableConv2d(4, b, 1)
    self.norm = MutableBatchNorm2d(a + b + 4)
    self.depthwise = MutableConv2d(a + b + 4, a + b + 4, 3, padding=1, groups=a + b + 4)
    self.mix = MutableConv2d(a + b + 4, 5, 1)
    self.head = MutableLinear(a * 36 + b * 36 + 4 * 36, 3)


def run(self, x):
    x = torch.cat([self.first(x), self.second(x), x], 1)
    x = self.depthwise(torch.relu(self.norm(x)))
    return self.mix(x), self.head(x.flatten(1))


def test_a_sum_is_a_concatenation(tools):
    tools.check_space(tools.space_of(concatenating, run), [IMAGE])


def test_its_child_keeps_the_first_channels_of_each_part(tools):
    space = tools.space_of(concatenating, run)()
    child = derive_child(SNAS(seed=0).mutate_model(space), {"a": 2, "b": 3}).eval()
    kept = [0, 1, 4, 5, 6, 10, 11, 12, 13]
    assert torch.equal(child.mix.weight, space.mix.weight[:, kept])
    assert torch.equal(child.depthwise.weight, space.depthwise.weight[kept])
    pixels = space.head.weight.view(3, 14, 36)[:, kept].flatten(1)
    assert torch.equal(child.head.weight, pixels)


def test_its_cost_is_exact(tools):
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(tools.space_of(concatenating, run)())
    costs = strategy.cost_model(IMAGE[:1])
    for a in (4, 2):
        for b in (6, 3, 2):
            sample = {"a": a, "b": b}
            assert costs.of(sample) == count_child(derive_child(supernet, sample), IMAGE[:1])


def test_statistics_of_segments_are_updated_in_place(tools):
    space = tools.space_of(concatenating, run)()
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(space).train()
    distribution = strategy.distribution
    with distribution.use(distribution.one_hot_sample({"a": 2, "b": 3})):
        supernet(IMAGE)
    moved = (supernet.norm.running_mean != 0).nonzero().flatten().tolist()
    assert moved == [0, 1, 4, 5, 6, 10, 11, 12, 13]


def test_groups_of_several_channels(tools):
    def init(self):
        width = nni.choice("width", [12, 8, 4])
        self.expand = MutableConv2d(4, width, 1)
        self.grouped = MutableConv2d(width, width, 3, padding=1, groups=width // 4)
        self.project = MutableConv2d(width, 4, 1)

    space = tools.space_of(init, lambda s, x: s.project(torch.relu(s.grouped(s.expand(x)))))
    checked = tools.check_space(space, [IMAGE])
    assert checked.supernet.grouped.weight.shape == (12, 4, 3, 3)


@pytest.mark.parametrize("first", [4, 2])
def test_weights_of_the_largest_layer_are_kept(tools, first):
    def init(self):
        width = nni.choice("width", [first, 6 - first])
        self.conv, self.norm = MutableConv2d(4, width, 1), MutableBatchNorm2d(width)
        self.head = MutableConv2d(width, 2, 1)

    torch.manual_seed(0)
    space = tools.space_of(init, lambda s, x: s.head(s.norm(s.conv(x))))()
    with torch.no_grad():
        space.norm.running_mean.fill_(3)
        before = {name: tensor.clone() for name, tensor in space.state_dict().items()}
    after = SNAS(seed=0).mutate_model(space).state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items() if first == 4)
    assert after["norm.running_mean"].tolist() == ([3.0] * 4 if first == 4 else [0.0] * 4)


def test_a_share_is_the_weight_of_the_sizes_that_keep_an_index():
    parts = Segments((3, 2), ({3: torch.tensor(0.25), 1: torch.tensor(0.75)}, 1))
    weight = torch.ones(2, 5)
    assert parts.select(weight, 1).tolist() == [[1.0, 0.25, 0.25, 1.0, 0.0]] * 2
    assert parts.indices is None
    whole = Segments((3, 2), (3, 2))
    assert whole.select(weight, 1) is weight
    assert Segments((3, 2), (1, 2)).indices == [0, 3, 4]


def test_only_sums_whose_terms_are_largest_together_are_segments():
    a, b = nni.choice("a", [4, 2]), nni.choice("b", [6, 3])
    assert segmented(a + b)
    assert segmented(a + 3)
    assert not segmented(a)
    assert not segmented(a * 2)
    assert not segmented(a + (8 - a))
    assert parts_of(b + a * 2 + 1, lambda term: term.freeze({"a": 2, "b": 3})) == Segments((6, 8, 1), (3, 4, 1))
