"""C at one-hot Z is the count of the child, in spaces that nobody would write down by hand."""

import nni
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.nas.nn.pytorch import (
    Cell,
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableDropout,
    MutableLinear,
    ParametrizedModule,
    Repeat,
)
from torch import nn

C, SIDE = 4, 6
"""Every block maps (1, C, SIDE, SIDE) to the same shape, so blocks go together in any way."""


class Scaled(ParametrizedModule):
    """A user's own module with a choice in its arguments: as many 1x1 convolutions as its argument says."""

    def __init__(self, times: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(C, C, 1) for _ in range(times))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Parallel(nn.Module):
    """Several blocks on one input, some of whose outputs are chosen."""

    def __init__(self, blocks, choice):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.choice = choice

    def forward(self, x):
        return self.choice([block(x) for block in self.blocks])


class Tied(nn.Module):
    """Two convolutions with one weight, around a block."""

    def __init__(self, inner):
        super().__init__()
        self.first, self.inner, self.last = nn.Conv2d(C, C, 1), inner, nn.Conv2d(C, C, 1)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(self.inner(self.first(x)))


class Wide(nn.Module):
    """A bottleneck whose width and kernel are chosen."""

    def __init__(self, tag, norm, kernel):
        super().__init__()
        width = nni.choice(f"width{tag}", [2, 4, 6])
        size = nni.choice(f"kernel{tag}", [1, 3, 5]) if kernel else 3
        self.expand = MutableConv2d(C, width, size, padding=size // 2, bias=not norm)
        self.norm = MutableBatchNorm2d(width) if norm else nn.ReLU()
        self.depthwise = MutableConv2d(width, width, 3, padding=1, groups=width)
        self.project = MutableConv2d(width, C, 1)

    def forward(self, x):
        return self.project(self.depthwise(self.norm(self.expand(x))))


class Celled(nn.Module):
    """A cell, and a convolution back to C channels."""

    def __init__(self, tag, slots, factories, inner):
        super().__init__()
        operations = {"conv": nn.Conv2d(C, C, 3, padding=1), "inner": inner}
        if factories:
            operations = {
                "conv": lambda node, slot, source: nn.Conv2d(C, C, 3 if source == 0 else 1, padding=int(source == 0)),
                "skip": lambda node, slot, source: nn.Identity(),
            }
        self.cell = Cell(operations, num_nodes=2, num_ops_per_node=slots, num_predecessors=1, label=f"cell{tag}")
        self.project = nn.Conv2d(2 * C, C, 1)

    def forward(self, x):
        return self.project(self.cell([x]))


def build(spec):
    """The module of a nest of tuples."""
    kind, *rest = spec
    if kind == "conv":
        return nn.Conv2d(C, C, rest[0], padding=rest[0] // 2, groups=rest[1], bias=rest[2])
    if kind == "plain":
        return [nn.ReLU(), nn.BatchNorm2d(C), nn.Identity(), nn.MaxPool2d(3, 1, 1), nn.Sequential()][rest[0]]
    if kind == "chain":
        return nn.Sequential(*map(build, rest[0]))
    if kind == "layer":
        return LayerChoice([build(s) for s in rest[1]], label=f"layer{len(rest[1])}{rest[0]}")
    if kind == "repeat":
        low, high = rest[1]
        return Repeat(lambda _: build(rest[2]), nni.choice(f"depth{low}{high}{rest[0]}", list(range(low, high + 1))))
    if kind == "inputs":
        chosen = min(rest[1], len(rest[3])) if rest[1] else None
        label = f"inputs{len(rest[3])}{chosen}{rest[0]}"
        choice = InputChoice(len(rest[3]), n_chosen=chosen, reduction=rest[2], label=label)
        return Parallel(map(build, rest[3]), choice)
    if kind == "cell":
        return Celled(rest[0], rest[1], rest[2], build(rest[3]))
    if kind == "wide":
        return Wide(*rest)
    if kind == "tied":
        return Tied(build(rest[0]))
    if kind == "dropout":
        return MutableDropout(nni.choice(f"rate{rest[0]}", [0.1, 0.5]))
    assert kind == "scaled"
    return Scaled(nni.choice(f"times{rest[0]}", [1, 2, 3]))


tags = st.sampled_from("xy")  # two, so that labels are often shared
leaves = st.one_of(
    st.tuples(st.just("conv"), st.sampled_from([1, 3]), st.sampled_from([1, 2, 4]), st.booleans()),
    st.tuples(st.just("plain"), st.integers(0, 4)),
    st.tuples(st.just("wide"), tags, st.booleans(), st.booleans()),
    st.tuples(st.just("dropout"), tags),
    st.tuples(st.just("scaled"), tags),
)
specs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("chain"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("layer"), tags, st.lists(inner, min_size=2, max_size=3)),
        st.tuples(st.just("repeat"), tags, st.sampled_from([(0, 2), (1, 3), (0, 1)]), inner),
        st.tuples(
            st.just("inputs"),
            tags,
            st.sampled_from([1, 2, None]),
            st.sampled_from(["sum", "mean"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
        st.tuples(st.just("cell"), tags, st.integers(1, 2), st.booleans(), inner),
        st.tuples(st.just("tied"), inner),
    ),
    max_leaves=6,
)


class Space(ModelSpace):
    """A chain of random blocks, a head with a choice of its width, and a tied pair across choices."""

    def __init__(self, spec):
        super().__init__()
        self.body = build(spec)
        hidden = nni.choice("hidden", [3, 5])
        self.head = nn.Sequential(MutableLinear(C, hidden), nn.ReLU(), MutableLinear(hidden, 2))

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.slow
@given(specs, st.integers(0, 2**16))
@settings(max_examples=45)
def test_costs_are_those_of_the_child(kit, spec, seed):
    case = kit.counted(lambda: Space(spec), torch.zeros(1, C, SIDE, SIDE))
    kit.assert_exact(case, at_most=3, seed=seed)
