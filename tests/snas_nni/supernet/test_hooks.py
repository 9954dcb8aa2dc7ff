"""A value that sizes a sliced layer and a module that cannot be sliced is refused before anything runs."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import (
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableDropout,
    MutableGroupNorm,
    ParametrizedModule,
)
from torch import nn

from snas_nni import derive_child
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.resources.costs import count_child

IMAGES = torch.randn(2, 1, 6, 6)


class Normalization(ParametrizedModule):
    """Reads the number of channels by itself, as a user's module may."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(x)


class Scale(ParametrizedModule):
    """Reads it too, but has no weight of that shape."""

    def __init__(self, channels):
        super().__init__()
        self.factor = channels**-0.5

    def forward(self, x):
        return x * self.factor


class Net(ModelSpace):
    def __init__(self, make_middle):
        super().__init__()
        channels = nni.choice("channels", [16, 32])
        self.first = MutableConv2d(1, channels, 3, padding=1)
        self.middle = make_middle(channels)
        self.last = MutableConv2d(channels, 4, 1)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda channels: Normalization(channels), "Normalization"),
        (lambda channels: nn.Sequential(nn.ReLU(), Normalization(channels * 1)), "Normalization"),
        (lambda channels: MutableGroupNorm(2, channels), "MutableGroupNorm"),
    ],
)
def test_the_label_and_the_module_are_named(tools, make, name):
    with pytest.raises(UnsupportedSpaceError, match=f"label 'channels'.*module 'middle.*{name}.*not supported") as info:
        tools.mutate(Net(make))
    assert isinstance(info.value, TypeError)
    assert "'first'" in str(info.value)


def test_a_single_path_has_the_right_size_in_every_step(tools):
    strategy, supernet = tools.mutate(Net(Normalization), sampling="single_path")
    for _ in range(8):
        with strategy.distribution.use(strategy.distribution.draw_single_path(1.0)):
            supernet(IMAGES).square().mean().backward()
    assert strategy.distribution.logits_of("channels").grad.isfinite().all()


@pytest.mark.parametrize("make", [Normalization, lambda channels: MutableGroupNorm(nni.choice("g", [1, 2]), channels)])
def test_costs_of_a_single_path_are_those_of_the_child(tools, make):
    strategy, supernet = tools.mutate(Net(make), sampling="single_path")
    model = strategy.cost_model(IMAGES[:1])
    for sample in tools.all_or_some_samples(strategy.distribution, 8, 0):
        child = derive_child(supernet, sample)
        assert count_child(child, IMAGES[:1]) == model.of(sample)


@pytest.mark.parametrize("make", [Normalization, MutableBatchNorm2d])
def test_single_paths_of_each_layer_cannot_share_a_size(tools, make):
    words = "label 'channels' .module 'first'.: 3 modules read it, and it chooses out_channels of 'first'"
    with pytest.raises(UnsupportedSpaceError, match=words):
        tools.mutate(Net(make), sampling="single_path", sample_per_layer=True)


def test_single_paths_of_each_layer_may_share_what_is_no_size(tools):
    class Kernels(ModelSpace):
        def __init__(self):
            super().__init__()
            kernel, width = nni.choice("kernel", [1, 3]), nni.choice("width", [2, 4])
            self.layers = nn.Sequential(
                *(MutableConv2d(1, 1, kernel, padding=kernel // 2) for _ in range(2)),
                MutableDropout(nni.choice("p", [0.1, 0.5])),
                nn.AdaptiveAvgPool2d(1),
            )
            self.last = MutableConv2d(1, width, 1)  # the only one that reads it

        def forward(self, x):
            return self.last(self.layers(x)).sum(1)

    strategy, supernet = tools.mutate(Kernels(), sampling="single_path", sample_per_layer=True)
    for _ in range(16):
        with strategy.distribution.use(strategy.distribution.draw_single_path(1.0)):
            supernet(IMAGES).square().mean().backward()
    assert strategy.distribution.logits_of("kernel").grad.isfinite().all()


@pytest.mark.parametrize(
    "make", [Scale, MutableBatchNorm2d, lambda channels: MutableDropout(nni.choice("p", [0.1, 0.5]))]
)
def test_others_are_searched(tools, make):
    strategy, supernet = tools.mutate(Net(make))
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        assert supernet(IMAGES).shape == (2, 4, 6, 6)
