"""What the project takes from NNI 3.0 that NNI does not offer."""

import nni
import torch
from nni.nas.nn.pytorch import MutableConv2d, ParametrizedModule
from torch import nn

from snas_nni import nni_compat


class Own(ParametrizedModule):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)


def test_the_class_behind_a_mutable_layer():
    assert nni_compat.plain_type(MutableConv2d) is nn.Conv2d
    assert nni_compat.plain_type(Own) is Own


def test_weights_of_the_values_of_an_expression():
    """P(a + b = v) for independent a and b."""
    total = nni.choice("a", [1, 2]) + nni.choice("b", [1, 2])
    weights = {"a": [0.25, 0.75], "b": [0.5, 0.5]}
    assert nni_compat.weights_of_values(total, weights) == {2: 0.125, 3: 0.5, 4: 0.375}


def test_sizes_for_each_axis():
    assert nni_compat.axis_sizes(nni_compat.MixedConv2d, 3) == (3, 3)
    assert nni_compat.axis_sizes(nni_compat.MixedConv2d, (3, 5)) == (3, 5)


def test_optimizers_are_weights_optimizers_unless_nni_marked_them():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))])
    assert not nni_compat.is_architecture_optimizer(optimizer)
    optimizer.is_arch_optimizer = True
    assert nni_compat.is_architecture_optimizer(optimizer)
