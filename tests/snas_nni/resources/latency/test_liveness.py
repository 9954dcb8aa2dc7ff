"""What a zero operation cuts off: found in a small cell for every layer, by all of its children."""

import itertools

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from search_spaces.operations import Zero
from snas_nni import SNAS
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.resources.latency.liveness import live_conditions

IMAGES = torch.zeros(1, 3, 4, 4)


def edge(label):
    return LayerChoice({"none": Zero(1), "conv": nn.Conv2d(3, 3, 1), "skip": nn.Identity()}, label=label)


class Diamond(ModelSpace):
    """Two ways from the input to the output, one of two edges, and a layer that nothing can cut."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = edge("a"), edge("b"), edge("c")
        self.last = LayerChoice([nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1)], label="last")

    def forward(self, x):
        return self.last(self.b(self.a(x)) + self.c(x))


@pytest.fixture
def live():
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(Diamond())
    return live_conditions(supernet, strategy.distribution, (IMAGES,))


def test_layers_live_where_a_way_leads_on(live):
    conditions = live
    assert set(conditions) == {("a", 0), None}
    for indices in itertools.product(range(3), repeat=3):
        chosen = dict(zip("abc", indices, strict=True)) | {"last": 0}
        none = {label: index == 0 for label, index in chosen.items()}
        if not none["a"]:  # what a zero operation itself takes is nobody's question
            assert conditions["a", 0].value(chosen) == (not none["b"])
        assert conditions[None].value(chosen) == (not none["c"] or not (none["a"] or none["b"]))
    assert conditions["a", 0].terms == Polynomial({(): 1.0, (("b", 0),): -1.0}).terms


def test_nothing_is_said_where_nothing_cuts():
    class Plain(ModelSpace):
        def __init__(self):
            super().__init__()
            self.layer = LayerChoice([nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1)], label="a")

        def forward(self, x):
            return self.layer(x)

    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(Plain())
    before = torch.get_rng_state()
    assert live_conditions(supernet, strategy.distribution, (IMAGES,)) == {}
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in supernet.modules())
