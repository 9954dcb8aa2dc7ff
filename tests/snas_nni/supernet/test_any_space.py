"""Random small spaces: at any one-hot sample the supernet, the derived child and the rebuilt child agree."""

import nni
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.nas.nn.pytorch import (
    Cell,
    InputChoice,
    LayerChoice,
    MutableLinear,
    ParametrizedModule,
    Repeat,
)
from torch import nn

WIDTH = 4
ROWS = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0))


class Scale(ParametrizedModule):
    """An own module with an argument to choose."""

    def __init__(self, factor):
        super().__init__()
        self.linear, self.factor = nn.Linear(WIDTH, WIDTH), factor

    def forward(self, x):
        return self.linear(x) * self.factor


class Hidden(nn.Module):
    """Two layers around a width to choose."""

    def __init__(self, label):
        super().__init__()
        width = nni.choice(label, [2, 5])
        self.first, self.last = MutableLinear(WIDTH, width), MutableLinear(width, WIDTH, bias=False)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class Joined(nn.Module):
    """Some of several branches of the same input."""

    def __init__(self, branches, n_chosen, reduction, label):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.choose = InputChoice(len(branches), n_chosen, reduction, label=label)

    def forward(self, x):
        return self.choose([branch(x) for branch in self.branches])


class Nodes(nn.Module):
    """A cell on rows, its nodes summed."""

    def __init__(self, operations, merge_op, label):
        super().__init__()
        self.cell = Cell(operations, 2, 1, 1, merge_op, label=label)

    def forward(self, x):
        return torch.stack(self.cell(x).split(WIDTH, 1)).sum(0)


def leaves():
    return st.sampled_from(["linear", "tanh", "identity", "norm", "hidden", "scale"]).map(lambda kind: (kind,))


def inner(children):
    some = st.lists(children, min_size=2, max_size=3)
    return st.one_of(
        st.tuples(st.just("layer"), some, st.booleans()),
        st.tuples(st.just("chain"), some),
        st.tuples(st.just("repeat"), children, st.sampled_from([(0, 1), (0, 2), (1, 2)])),
        st.tuples(st.just("inputs"), some, st.sampled_from([1, 2, None]), st.sampled_from(["sum", "mean"])),
        st.tuples(st.just("cell"), st.lists(leaves(), min_size=2, max_size=2), st.sampled_from(["all", "loose_end"])),
    )


RECIPES = st.recursive(leaves(), inner, max_leaves=6)


class Builder:
    """Makes the modules of a recipe. All choices of a kind in ``shared`` have one label, others one by position."""

    def __init__(self, shared):
        self.shared = shared

    def label(self, kind, detail, path):
        return f"{kind}_of_{detail}".replace(" ", "") if kind in self.shared else f"{kind}_{path}"

    def several(self, recipes, path):
        return [self.make(recipe, f"{path}{index}") for index, recipe in enumerate(recipes)]

    def make(self, recipe, path):
        kind, *parts = recipe
        if kind in ("linear", "tanh", "identity", "norm"):
            return {
                "linear": lambda: nn.Linear(WIDTH, WIDTH),
                "tanh": nn.Tanh,
                "identity": nn.Identity,
                "norm": lambda: nn.BatchNorm1d(WIDTH),
            }[kind]()
        if kind == "hidden":
            return Hidden(self.label(kind, "", path))
        if kind == "scale":
            return Scale(nni.choice(self.label(kind, "", path), [0.5, 2.0]))
        if kind == "chain":
            return nn.Sequential(*self.several(parts[0], path))
        if kind == "repeat":
            block, depth = parts
            return Repeat(lambda i: self.make(block, f"{path}b{i}"), depth, label=self.label(kind, depth, path))
        made = self.several(parts[0], path)
        if kind == "layer":
            label = self.label(kind, (len(made), parts[1]), path)
            return LayerChoice({f"op{i}": m for i, m in enumerate(made)} if parts[1] else made, label=label)
        if kind == "inputs":
            return Joined(made, parts[1], parts[2], self.label(kind, (len(made), parts[1]), path))
        return Nodes(made, parts[1], self.label(kind, "", path))


SHARED = st.sets(st.sampled_from(["layer", "repeat", "inputs", "cell", "hidden", "scale"]))


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(RECIPES, min_size=1, max_size=3), SHARED)
def test_supernet_child_and_rebuilt_child_agree(tools, recipes, shared):
    def init(self):
        self.always = LayerChoice([nn.Linear(WIDTH, WIDTH), nn.Tanh()], label="always")
        self.blocks = nn.ModuleList(Builder(shared).several(recipes, ""))

    def forward(self, x):
        x = self.always(x)
        for block in self.blocks:
            x = block(x)
        return x

    tools.check_space(tools.space_of(init, forward), [ROWS], at_most=5, gradients=False)
