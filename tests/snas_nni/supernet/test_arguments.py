"""Parametrised modules that run once for each combination of values."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import (
    LayerChoice,
    MutableConv2d,
    MutableDropout,
    MutableMultiheadAttention,
    ParametrizedModule,
)
from torch import nn

from snas_nni import UnsupportedSpaceError, derive_child
from snas_nni.supernet.arguments import MixedArguments

ROWS = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
IMAGE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Bottleneck(ParametrizedModule):
    """A user's own module with arguments to choose."""

    def __init__(self, width, activation="relu", with_choice=False):
        super().__init__()
        self.down, self.up = nn.Linear(6, width), nn.Linear(width, 6)
        self.activation = {"relu": torch.relu, "tanh": torch.tanh}[activation]
        if with_choice:
            self.inner = LayerChoice([nn.Linear(6, 6), nn.Identity()], label="inner")

    def forward(self, x):
        y = self.up(self.activation(self.down(x)))
        return self.inner(y) if hasattr(self, "inner") else y


def test_positional_and_named_arguments(tools):
    def init(self):
        self.layer = Bottleneck(nni.choice("width", [2, 5]), activation=nni.choice("activation", ["relu", "tanh"]))

    checked = tools.check_space(tools.space_of(init), [ROWS])
    assert len(checked.samples) == 4
    assert len(checked.supernet.layer.candidates) == 4


def test_a_choice_inside_the_module(tools):
    def init(self):
        self.layer = Bottleneck(nni.choice("width", [2, 5]), with_choice=True)

    tools.check_space(tools.space_of(init), [ROWS])


def test_expressions_of_one_label(tools):
    def init(self):
        width = nni.choice("width", [2, 4])
        self.first, self.second = Bottleneck(width * 2), Bottleneck(width + 1)

    tools.check_space(tools.space_of(init, lambda s, x: s.second(s.first(x))), [ROWS])


def test_arguments_of_a_convolution_that_cannot_be_sliced(tools):
    def init(self):
        dilation = nni.choice("dilation", [1, 2])
        self.layer = MutableConv2d(4, 4, 3, padding=dilation, dilation=dilation)

    tools.check_space(tools.space_of(init), [IMAGE])


def test_groups_alone(tools):
    def init(self):
        self.layer = MutableConv2d(4, 4, 3, padding=1, groups=nni.choice("groups", [1, 2, 4]))

    tools.check_space(tools.space_of(init), [IMAGE])


def test_heads_of_attention(tools):
    def init(self):
        self.layer = MutableMultiheadAttention(8, nni.choice("heads", [1, 2, 4]), batch_first=True)

    tools.check_space(tools.space_of(init, lambda s, x: s.layer(x, x, x)[0]), [torch.randn(2, 3, 8)])


def test_attention_that_returns_no_weights(tools):
    def init(self):
        self.layer = MutableMultiheadAttention(8, nni.choice("heads", [1, 2]), batch_first=True)

    tools.check_space(
        tools.space_of(init, lambda s, x: s.layer(x, x, x, need_weights=False)[0]), [torch.randn(2, 3, 8)]
    )


def test_dropout(tools):
    def init(self):
        self.drop = MutableDropout(nni.choice("rate", [0.1, 0.5]))
        self.layer = nn.Linear(6, 6)

    checked = tools.check_space(tools.space_of(init, lambda s, x: s.layer(s.drop(x))), [ROWS])
    child = derive_child(checked.supernet, {"rate": 0.5})
    assert type(child.drop) is nn.Dropout
    assert child.drop.p == 0.5


def test_the_output_is_the_sum_over_combinations_of_products(tools):
    def init(self):
        self.layer = Bottleneck(nni.choice("width", [2, 5]), activation=nni.choice("activation", ["relu", "tanh"]))

    strategy, supernet = tools.mutate(tools.space_of(init)(), skip_tolerance=0)
    assert isinstance(supernet.layer, MixedArguments)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        width, activation = sample.weights["width"][0], sample.weights["activation"][0]
        expected = sum(
            width[i] * activation[k] * supernet.layer.chosen({"width": w, "activation": a})(ROWS)
            for i, w in enumerate((2, 5))
            for k, a in enumerate(("relu", "tanh"))
        )
        torch.testing.assert_close(supernet(ROWS), expected)
    assert supernet.layer.chosen({"width": 5, "activation": "tanh"}).down.out_features == 5


def test_at_a_one_hot_sample_one_module_runs(tools):
    strategy, supernet = tools.mutate(
        tools.space_of(lambda s: setattr(s, "layer", Bottleneck(nni.choice("width", [2, 5]))))()
    )
    ran = []
    for index, module in enumerate(supernet.layer.candidates):
        module.register_forward_hook(lambda *_, index=index: ran.append(index))
    tools.run_at(strategy.distribution, supernet, {"width": 5}, ROWS)
    assert ran == [1]


def test_too_many_combinations(tools):
    def init(self):
        self.layer = Bottleneck(
            nni.choice("width", list(range(1, 40))), activation=nni.choice("activation", ["relu", "tanh"])
        )

    with pytest.raises(UnsupportedSpaceError, match=r"label 'width, activation' \(Bottleneck 'layer'\): 78.*64"):
        tools.mutate(tools.space_of(init)())


def test_values_that_change_the_shape(tools):
    def init(self):
        self.layer = MutableConv2d(4, 4, 3, padding=nni.choice("padding", [0, 1]))

    strategy, supernet = tools.mutate(tools.space_of(init)())
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'padding' \(MutableConv2d 'layer'\).*\(2, 4, 4, 4\)"),
    ):
        supernet(IMAGE)
