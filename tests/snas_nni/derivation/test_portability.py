"""What a child will lack in its files is told before a search: lazy layers, 16 bits, buffers learned and not saved."""

import logging

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS
from snas_nni.derivation.portability import changed_buffers, lazy_parameters, unsaved_buffers
from snas_nni.testing import check_space


class Plain(ModelSpace):
    def __init__(self):
        super().__init__()
        self.op = LayerChoice({"linear": nn.Linear(4, 4), "skip": nn.Identity()}, label="op")
        self.register_buffer("table", torch.arange(4.0), persistent=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.op(x) + self.table)


class Learns(Plain):
    """Its table follows the data, and no file has it."""

    def forward(self, x):
        if self.training:
            self.table.lerp_(x.detach().mean(0), 0.1)
        return super().forward(x)


class Lazy(Plain):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(3)


class Half(Plain):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 4).bfloat16()

    def forward(self, x):
        return super().forward(self.backbone(x.bfloat16()).to(x.dtype))


def check(space):
    return check_space(space, lambda: torch.randn(6, 4), raise_on_failure=False)


def test_a_space_without_such_parts_has_no_notes():
    report = check(Plain)
    assert not report.failed
    assert not report.notes


@pytest.mark.parametrize(
    ("space", "step", "words"),
    [
        (Learns, "rebuild", "'table' changes while training, but is registered with persistent=False"),
        (Lazy, "rebuild", "'head.weight, head.bias' gets its shape from the first input"),
        (Half, "export", "'backbone.weight, backbone.bias' has 16 bits"),
    ],
)
def test_check_space_says_it(space, step, words):
    report = check(space)
    assert any(words in note for note in report.notes), str(report)
    assert list(report.failed) == [step]


@pytest.mark.parametrize(("space", "words"), [(Lazy, "lazy module"), (Half, "16 bits")])
def test_a_search_says_it_when_it_begins(space, words, caplog):
    with caplog.at_level(logging.WARNING):
        SNAS(seed=0).mutate_model(space())
    assert words in caplog.text


def test_a_search_names_a_learned_buffer_after_its_first_step(tools, caplog):
    with caplog.at_level(logging.WARNING):
        tools.search(Learns(), SNAS(seed=0), shape=(4,))
    assert caplog.text.count("'table' changes while training") == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        tools.search(Plain(), SNAS(seed=0), shape=(4,))
    assert "changes while training" not in caplog.text


def test_buffers_are_compared_by_value():
    network = nn.BatchNorm1d(2)
    network.register_buffer("unsaved", torch.tensor([1.0, float("nan")]), persistent=False)
    before = unsaved_buffers(network)
    assert set(before) == {"unsaved"}
    assert changed_buffers(before, network) == []
    network.unsaved[0] = 2.0
    assert changed_buffers(before, network) == ["unsaved"]
    assert lazy_parameters(nn.LazyConv2d(3, 1)) == ["weight", "bias"]
