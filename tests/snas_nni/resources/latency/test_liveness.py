"""What a zero operation cuts off: found in a small cell for every layer, by all of its children."""

import itertools

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from search_spaces.operations import Zero
from snas_nni import SNAS
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.resources.latency import plan_measurements
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


class Cell(ModelSpace):
    """Four nodes, an edge between any two, as in NAS-Bench-201; two cells share their choices."""

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList(
            nn.ModuleDict(
                {
                    f"{i}_{j}": LayerChoice(
                        {"none": Zero(1), **{f"conv{k}": nn.Conv2d(3, 3, 1) for k in range(4)}}, label=f"{i}_{j}"
                    )
                    for j in range(1, 4)
                    for i in range(j)
                }
            )
            for _ in range(2)
        )
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        for cell in self.cells:
            nodes = [x]
            for j in range(1, 4):
                nodes.append(sum(cell[f"{i}_{j}"](nodes[i]) for i in range(j)))
            x = nodes[-1]
        return self.head(x.mean((2, 3)))


def reaches(on):
    reached = {0}
    for j in range(1, 4):
        if any(on[f"{i}_{j}"] and i in reached for i in range(j)):
            reached.add(j)
    return 3 in reached


@pytest.mark.slow
def test_rare_ways_are_found_though_few_random_children_have_them():
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(Cell())
    conditions = live_conditions(supernet, strategy.distribution, (IMAGES,))
    labels = list(strategy.distribution.choices)
    for pattern in itertools.product((False, True), repeat=6):  # 0-1-2-3 alone is one random child in a thousand
        on = dict(zip(labels, pattern, strict=True))
        assert conditions[None].value({label: 2 * on[label] for label in labels}) == reaches(on)
    plan = plan_measurements(supernet, strategy.distribution, IMAGES, children=30, held_out=0)
    assert all(reaches({label: sample[label] != "none" for label in labels}) for sample in plan.fitted)
