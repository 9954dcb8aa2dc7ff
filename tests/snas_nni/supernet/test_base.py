"""What all modules of the supernet have in common."""

import nni
import torch
from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, ModelSpace, MutableLinear, Repeat
from torch import nn

from snas_nni.distribution.polynomial import Polynomial
from snas_nni.supernet.base import Counterpart, SampledModule

ROWS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class EveryKind(ModelSpace):
    """One module of each kind; the same operation in both slots of the cell is a possible choice."""

    def __init__(self):
        super().__init__()
        width = nni.choice("width", [2, 4])
        self.op = LayerChoice({"linear": nn.Linear(4, 4), "skip": nn.Identity()}, label="op")
        self.repeat = Repeat(lambda i: nn.Linear(4, 4), (0, 2), label="depth")
        operations = {"linear": lambda n, k, i: nn.Linear(4, 4), "skip": lambda n, k, i: nn.Identity()}
        self.cell = Cell(operations, 1, 2, 1, concat_dim=1, label="cell")
        self.mix = InputChoice(2, 1, label="mix")
        self.narrow, self.wide = MutableLinear(4, width), MutableLinear(width, 4)

    def forward(self, x):
        return self.wide(self.narrow(self.mix([self.cell([self.repeat(self.op(x))]), x])))


def test_each_module_answers_for_itself(tools):
    strategy, supernet = tools.mutate(EveryKind())
    sample = {**strategy.distribution.mode(), "op": "skip", "depth": 1, "width": 2}
    sample |= {"cell/input_1_0": [0], "cell/input_1_1": [0], "cell/op_1_0": "linear", "cell/op_1_1": "linear"}
    modules = {name: module for name, module in supernet.named_modules() if isinstance(module, SampledModule)}
    assert set(modules) == {"op", "repeat", "cell", "mix", "narrow", "wide"}
    for module in modules.values():
        label, layer = module.owner
        assert module.reader is strategy.distribution.readers[label][layer]
        assert f"'{label}" in module.where() or label.startswith("cell")
    assert supernet.op.counterpart(sample) == Counterpart(supernet.op["skip"])
    assert supernet.repeat.counterpart(sample) == Counterpart(supernet.repeat.blocks)
    assert supernet.mix.counterpart(sample) == Counterpart(supernet.mix)
    linear = supernet.cell.ops[0][0]["linear"]
    assert supernet.cell.counterpart(sample) == Counterpart(supernet.cell, {"ops.0.0": linear, "ops.0.1": linear})
    narrow = supernet.narrow.counterpart(sample).module
    assert type(narrow) is nn.Linear
    assert torch.equal(narrow.weight, supernet.narrow.weight[:2])


def test_only_layers_whose_values_share_a_weight_count_parameters_of_their_own(tools):
    _, supernet = tools.mutate(EveryKind())
    assert all(supernet.get_submodule(name).own_parameters() is None for name in ("op", "repeat", "cell", "mix"))
    expected = Polynomial.entry("width", 0) * (4 * 2 + 2.0) + Polynomial.entry("width", 1) * (4 * 4 + 4.0)
    assert supernet.narrow.own_parameters() == expected


def test_two_slots_of_a_cell_with_one_operation_give_twice_its_output(tools):
    """Also where the supernet just runs the child, which has two copies of the operation."""
    strategy, supernet = tools.mutate(EveryKind())
    values = {**strategy.distribution.mode(), "cell/input_1_0": [0], "cell/input_1_1": [0]}
    values |= {"cell/op_1_0": "linear", "cell/op_1_1": "linear"}
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.one_hot_sample(values)) as sample:
        assert sample.is_fixed
        torch.testing.assert_close(supernet.cell([ROWS]), 2 * supernet.cell.ops[0][0]["linear"](ROWS))


def test_a_child_runs_without_a_weighted_sum(tools):
    """Its chosen candidate's own output comes back, not a copy of it."""
    strategy, supernet = tools.mutate(EveryKind())
    fixed = strategy.distribution.one_hot_sample({**strategy.distribution.mode(), "op": "skip"})
    with strategy.distribution.use(fixed):
        assert supernet.op(ROWS) is ROWS
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        assert supernet.op(ROWS) is not ROWS
