"""Cell in the supernet."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import Cell, LayerChoice, MutableConv2d
from torch import nn

from snas_nni import derive_child
from snas_nni.supernet.cell import MixedCell

IMAGE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def operations():
    return {"conv": nn.Conv2d(4, 4, 3, padding=1), "pool": nn.AvgPool2d(3, 1, 1), "skip": nn.Identity()}


def factories():
    return {
        "conv": lambda node, slot, source: nn.Conv2d(4, 4, 3, padding=1),
        "skip": lambda node, slot, source: nn.Identity(),
    }


def strided(node, slot, source):
    """A reduction cell: operations on the cell's inputs halve the image."""
    return nn.Conv2d(4, 4, 3, stride=2 if source is None or source < 2 else 1, padding=1)


def pooled(node, slot, source):
    return nn.AvgPool2d(3, stride=2 if source is None or source < 2 else 1, padding=1)


class SumOfParts(nn.Module):
    """A downstream that takes any number of concatenated nodes."""

    def forward(self, merged, _inputs):
        return torch.stack(merged.chunk(merged.shape[1] // 4, 1)).sum(0)


class Preprocess(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([MutableConv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])

    def forward(self, inputs):
        return [conv(x) for conv, x in zip(self.convs, inputs, strict=True)]


class PreprocessWithChoice(nn.Module):
    def __init__(self):
        super().__init__()
        self.choice = LayerChoice([nn.Conv2d(4, 4, 1), nn.Identity()], label="pre")

    def forward(self, inputs):
        return [self.choice(x) for x in inputs]


def space(tools, operations, nodes=2, slots=2, inputs=2, **more):
    def init(self):
        made = operations() if callable(operations) else operations
        self.layer = Cell(made, nodes, slots, inputs, label="cell", **more)

    return tools.space_of(init, lambda s, x: s.layer([x * (k + 1) for k in range(inputs)]))


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("make", [operations, lambda: list(operations().values())], ids=["dict", "list"])
def test_plain_modules_with_all_nodes(tools, make, inputs):
    tools.check_space(space(tools, make, inputs=inputs), [IMAGE])


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("make", [factories, lambda: list(factories().values())], ids=["dict", "list"])
def test_factories_with_all_nodes(tools, make, slots):
    tools.check_space(space(tools, make, slots=slots), [IMAGE])


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("make", [operations, lambda: list(operations().values())], ids=["dict", "list"])
def test_plain_modules_with_loose_ends(tools, make, inputs):
    tools.check_space(space(tools, make, 3, inputs, inputs, merge_op="loose_end", postprocessor=SumOfParts()), [IMAGE])


def test_factories_with_loose_ends(tools):
    tools.check_space(space(tools, factories, 3, 1, 2, merge_op="loose_end", postprocessor=SumOfParts()), [IMAGE])


def test_a_reduction_cell_whose_stride_depends_on_the_input(tools):
    tools.check_space(space(tools, lambda: {"conv": strided, "pool": pooled}), [IMAGE])


@pytest.mark.parametrize("preprocess", [Preprocess, PreprocessWithChoice])
@pytest.mark.parametrize("merge_op", ["all", "loose_end"])
def test_a_preprocessor_with_weights_and_choices(tools, preprocess, merge_op):
    def init(self):
        self.layer = Cell(
            factories(),
            2,
            1,
            2,
            merge_op,
            preprocessor=preprocess(),
            postprocessor=SumOfParts(),
            label="cell",
        )

    tools.check_space(tools.space_of(init, lambda s, x: s.layer([x, 2 * x])), [IMAGE])


@pytest.mark.parametrize("merge_op", ["all", "loose_end"])
def test_a_choice_inside_a_plain_operation(tools, merge_op):
    def make():
        return [LayerChoice([nn.Conv2d(4, 4, 1), nn.Tanh()], label="inner"), MutableConv2d(4, 4, 1), nn.Identity()]

    tools.check_space(space(tools, make, slots=1, inputs=1, merge_op=merge_op, postprocessor=SumOfParts()), [IMAGE])


def test_a_choice_inside_a_factory(tools):
    def make():
        return {
            "inner": lambda n, k, i: LayerChoice([nn.Conv2d(4, 4, 1), nn.Tanh()], label="inner"),
            "kernel": lambda n, k, i: MutableConv2d(
                4, 4, nni.choice("kernel", [1, 3]), padding=nni.choice("kernel", [1, 3]) // 2
            ),
        }

    tools.check_space(space(tools, make, slots=1, inputs=1), [IMAGE])


def test_two_cells_with_one_label_share_their_choices(tools):
    def init(self):
        self.first, self.second = (Cell(factories(), 1, 1, 1, label="cell") for _ in range(2))

    checked = tools.check_space(tools.space_of(init, lambda s, x: s.second(torch.tanh(s.first(x)))), [IMAGE])
    assert set(checked.distribution.choices) == {"cell/op_1_0", "cell/input_1_0"}


def test_concatenation_along_another_dimension(tools):
    tools.check_space(space(tools, factories, concat_dim=2), [IMAGE])


def test_a_node_is_the_sum_over_inputs_and_operations_of_the_products_of_their_weights(tools):
    strategy, supernet = tools.mutate(space(tools, factories, nodes=1, slots=2)(), skip_tolerance=0)
    cell = supernet.layer
    assert isinstance(cell, MixedCell)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        w = {label: weights[0] for label, weights in sample.weights.items()}
        expected = torch.zeros_like(IMAGE)
        for slot in range(2):
            for source, x in enumerate((IMAGE, 2 * IMAGE)):
                for k, name in enumerate(("conv", "skip")):
                    weight = w[f"cell/input_2_{slot}"][source] * w[f"cell/op_2_{slot}"][k]
                    expected = expected + weight * cell.ops[0][source][name](x)
        torch.testing.assert_close(supernet(IMAGE), expected)


def test_a_loose_end_weighs_by_the_probability_that_no_later_node_uses_it(tools):
    strategy, supernet = tools.mutate(
        space(tools, lambda: {"skip": lambda n, k, i: nn.Identity()}, 3, 1, 1, merge_op="loose_end")(), skip_tolerance=0
    )
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        first = IMAGE
        to_second, to_third = (sample.weights[f"cell/input_{node}_0"][0] for node in (2, 3))
        second = to_second[0] * IMAGE + to_second[1] * first
        third = to_third[0] * IMAGE + to_third[1] * first + to_third[2] * second
        expected = [(1 - to_second[1]) * (1 - to_third[1]) * first, (1 - to_third[2]) * second, third]
        torch.testing.assert_close(supernet(IMAGE), torch.cat(expected, 1))


def test_slots_that_chose_the_same_operation_get_copies_of_their_own(tools):
    _, supernet = tools.mutate(space(tools, factories, nodes=1, slots=2)())
    values = {"cell/op_2_0": "conv", "cell/op_2_1": "conv", "cell/input_2_0": [0], "cell/input_2_1": [0]}
    child = derive_child(supernet, values)
    first, second = child.layer.ops[0]
    assert torch.equal(first.weight, second.weight)
    assert first.weight.data_ptr() != second.weight.data_ptr()


def test_unused_nodes_and_inputs_survive(tools):
    """Nothing connects the second input, and the first node goes only to the output."""
    strategy, supernet = tools.mutate(space(tools, factories, slots=1)())
    values = {"cell/op_2_0": "skip", "cell/input_2_0": [0], "cell/op_3_0": "skip", "cell/input_3_0": [0]}
    expected = torch.cat([IMAGE, IMAGE], 1)
    assert torch.equal(tools.run_at(strategy.distribution, supernet, values, IMAGE), expected)
    assert torch.equal(derive_child(supernet, values)(IMAGE), expected)
