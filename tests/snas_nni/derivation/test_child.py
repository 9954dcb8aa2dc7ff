"""Children: what they inherit, what they do not share, how they are rebuilt."""

import logging

import nni
import pytest
import torch
from nni.nas.nn.pytorch import (
    Cell,
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableConv2d,
    MutableLinear,
    ParametrizedModule,
    Repeat,
)
from torch import nn

from snas_nni import SNAS, build_child, derive_child
from snas_nni.derivation.inheritance import inherit_weights
from snas_nni.supernet.frozen import NoInputs


class Scale(ParametrizedModule):
    """A user's own layer, which NNI makes anew for a child."""

    def __init__(self, factor):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, factor)

    def forward(self, x):
        return self.layer(x)


IMAGE = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Net(ModelSpace):
    """A bit of everything, with buffers and a parameter of its own."""

    def __init__(self, classes=4):
        super().__init__()
        channels = nni.choice("channels", [2, 4])
        self.scale = nn.Parameter(torch.ones(1))
        self.stem = nn.Sequential(MutableConv2d(3, channels, 3, padding=1), MutableConv2d(channels, 4, 1))
        self.norm = nn.BatchNorm2d(4)
        self.op = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="op")
        self.tail = Repeat(lambda i: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), (0, 2), label="depth")
        operations = {"conv": lambda n, k, i: nn.Conv2d(4, 4, 1), "skip": lambda n, k, i: nn.Identity()}
        self.cell = Cell(operations, 1, 1, 2, label="cell")
        self.mix = InputChoice(2, None, "mean", label="mix")
        self.head = MutableLinear(4, classes)

    def forward(self, x):
        x = self.norm(self.stem(x)) * self.scale
        y = self.op(x)
        x = self.mix([self.tail(y), self.cell([x, y])])
        return self.head(x.mean((2, 3)))


@pytest.fixture
def searched(tools):
    strategy, supernet = tools.mutate(Net())
    supernet.train()
    with torch.no_grad():
        for _ in range(3):
            with strategy.distribution.use(strategy.distribution.draw(1.0)):
                supernet(IMAGE)  # moves the statistics of the normalisations
    return strategy, supernet.eval()


def test_every_sample_agrees(tools):
    checked = tools.check_space(Net, [IMAGE], at_most=40)
    assert len(checked.distribution.choices) == 6


def test_statistics_are_inherited(searched):
    strategy, supernet = searched
    child = derive_child(supernet, {**strategy.distribution.mode(), "depth": 1})
    assert supernet.norm.running_mean.any()
    assert torch.equal(child.norm.running_mean, supernet.norm.running_mean)
    assert int(child.norm.num_batches_tracked) == 3
    assert torch.equal(child.tail[0][1].running_var, supernet.tail.blocks[0][1].running_var)


def test_the_mode_is_built(searched):
    strategy, supernet = searched
    with torch.no_grad():
        strategy.distribution.logits_of("op").copy_(torch.tensor([0.0, 5.0]))
        strategy.distribution.logits_of("depth").copy_(torch.tensor([0.0, 0.0, 5.0]))
    sample = strategy.distribution.mode()
    child = derive_child(supernet, sample)
    assert (sample["op"], sample["depth"]) == ("skip", 2)
    assert isinstance(child.op, nn.Identity)
    assert len(child.tail) == 2


def test_training_a_child_leaves_the_supernet_alone(searched):
    strategy, supernet = searched
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    child = derive_child(supernet, strategy.distribution.mode()).train()
    optimizer = torch.optim.SGD(child.parameters(), lr=1.0)
    child(IMAGE).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())
    assert all(p.grad is None for p in supernet.parameters())


def test_training_the_supernet_leaves_a_child_alone(searched):
    strategy, supernet = searched
    child = derive_child(supernet, strategy.distribution.mode()).eval()
    before = child(IMAGE)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(1.0)
    assert torch.equal(child(IMAGE), before)


def test_a_child_can_be_derived_while_a_sample_runs(searched):
    strategy, supernet = searched
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        supernet(IMAGE)
        derive_child(supernet, strategy.distribution.mode())


def test_a_child_holds_nothing_of_the_supernet(searched):
    strategy, supernet = searched
    child = derive_child(supernet, strategy.distribution.mode())
    assert not [name for name, m in child.named_modules() if type(m).__module__.startswith("snas_nni.supernet.hooks")]
    assert set(dict(child.named_parameters())) <= {
        *dict(build_child(Net, {}, strategy.distribution.mode()).named_parameters())
    }
    child(IMAGE).sum().backward()  # no sample is asked for


def test_the_empty_choice_becomes_zeros(searched):
    strategy, supernet = searched
    values = {**strategy.distribution.mode(), "mix": []}
    child = derive_child(supernet, values).eval()
    assert isinstance(child.mix, NoInputs)
    assert torch.equal(child(IMAGE), child.head.bias.expand(3, 4))
    assert isinstance(build_child(Net, {}, values).mix, NoInputs)


def test_no_inputs_keeps_shape_precision_and_needs_no_gradient():
    output = NoInputs()([torch.ones(2, 3, dtype=torch.float64), torch.ones(2, 3)])
    assert (output.shape, output.dtype, output.requires_grad) == ((2, 3), torch.float64, False)
    assert not output.any()


def test_arguments_reach_the_constructor(searched):
    strategy, _ = searched
    assert build_child(Net, {"classes": 7}, strategy.distribution.mode()).head.out_features == 7


def test_a_sample_without_a_label(searched):
    strategy, supernet = searched
    values = strategy.distribution.mode()
    del values["op"]
    with pytest.raises(Exception, match="op"):
        derive_child(supernet, values)


def test_a_sample_with_a_value_that_does_not_exist(searched):
    strategy, supernet = searched
    with pytest.raises(ValueError, match="label 'op': the sample has 'pool' for it; it chooses among 'conv', 'skip'"):
        derive_child(supernet, {**strategy.distribution.mode(), "op": "pool"})


def test_inputs_come_in_the_order_of_the_candidates_however_a_sample_lists_them():
    class Joined(ModelSpace):
        def __init__(self):
            super().__init__()
            self.join = InputChoice(3, 2, "concat", label="join")

        def forward(self, x):
            return self.join([x, 2 * x, 3 * x])

    supernet = SNAS(seed=0).mutate_model(Joined())
    x = torch.ones(1, 1)
    assert derive_child(supernet, {"join": [2, 0]})(x).tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_childs_precision_is_the_supernets(searched, tools, dtype):
    strategy, supernet = searched
    supernet.to(dtype)
    values = {**strategy.distribution.mode(), "depth": 2, "mix": [0, 1]}
    child = derive_child(supernet, values).eval()
    assert {t.dtype for t in [*child.parameters(), *child.buffers()] if t.is_floating_point()} == {dtype}
    expected = tools.run_at(strategy.distribution, supernet, values, IMAGE.to(dtype))
    tools.assert_same(child(IMAGE.to(dtype)), expected, atol=1e-12 if dtype == torch.float64 else 0.0)


def test_the_child_is_where_the_supernet_is(searched):
    """On any device: the meta device refuses to be copied to another one, as two GPUs would not be noticed to."""
    strategy, supernet = searched
    child = derive_child(supernet.to("meta"), {**strategy.distribution.mode(), "depth": 2})
    assert {t.device.type for t in [*child.parameters(), *child.buffers()]} == {"meta"}


class LooseNet(ModelSpace):
    """The next layer takes as many channels as the cell has loose ends."""

    def __init__(self):
        super().__init__()
        self.cell = Cell(
            {"conv": lambda n, k, i: nn.Conv2d(3, 3, 1), "skip": lambda n, k, i: nn.Identity()},
            2,
            1,
            1,
            "loose_end",
            label="cell",
        )
        self.head = nn.Conv2d(3 * len(self.cell.output_node_indices), 2, 1)

    def forward(self, x):
        return self.head(self.cell(x))

    def freeze(self, sample):
        from nni.nas.space import model_context

        with model_context(sample):
            return LooseNet()


def test_what_has_no_counterpart_is_named_and_the_rest_is_inherited(tools, caplog):
    strategy, supernet = tools.mutate(LooseNet())
    values = {"cell/op_1_0": "conv", "cell/input_1_0": [0], "cell/op_2_0": "conv", "cell/input_2_0": [1]}
    with caplog.at_level(logging.WARNING, logger="snas_nni.derivation.child"):
        child = derive_child(supernet, values)
    assert "1 tensors of the child have no counterpart" in caplog.text
    assert "head.weight" in caplog.text
    assert inherit_weights(child, supernet, values) == ["head.weight"]
    assert torch.equal(child.head.bias, supernet.head.bias)
    # Once it has run, it is known which columns of the supernet's weight the child reads: those of the second node.
    expected = tools.run_at(strategy.distribution, supernet, values, IMAGE)
    child = derive_child(supernet, values)
    assert torch.equal(child.head.weight, supernet.head.weight[:, 3:])
    tools.assert_same(child(IMAGE), expected)


def test_nothing_is_said_where_everything_is_inherited(searched, caplog):
    strategy, supernet = searched
    with caplog.at_level(logging.WARNING, logger="snas_nni.derivation.child"):
        child = derive_child(supernet, strategy.distribution.mode())
    assert not caplog.records
    assert inherit_weights(child, supernet, strategy.distribution.mode()) == []


def test_every_tensor_comes_from_the_supernet(searched):
    """A child filled with other numbers is filled with the supernet's again, every one of them."""
    strategy, supernet = searched
    values = {**strategy.distribution.mode(), "depth": 2, "op": "conv"}
    child = derive_child(supernet, values)
    expected = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    for tensor in child.state_dict().values():
        tensor.fill_(13)
    inherit_weights(child, supernet, values)
    assert all(torch.equal(expected[name], tensor) for name, tensor in child.state_dict().items())


class MutableLayersInCandidates(ModelSpace):
    def __init__(self):
        super().__init__()
        width = nni.choice("width", [2, 4])
        wide = nn.Sequential(MutableConv2d(3, width, 3, padding=1), MutableConv2d(width, 3, 1))
        nested = nn.Sequential(LayerChoice([MutableConv2d(3, 3, 3, padding=1), nn.Identity()], label="inner"))
        self.layer = LayerChoice({"wide": wide, "plain": MutableConv2d(3, 3, 1), "nested": nested}, label="layer")

    def forward(self, x):
        return self.layer(x)


def test_mutable_layers_inside_candidates_keep_their_weights(tools):
    """NNI's freeze makes them anew; a child has the supernet's."""
    strategy, supernet = tools.mutate(MutableLayersInCandidates())
    for values in tools.all_or_some_samples(strategy.distribution, 12, seed=0):
        child = derive_child(supernet, values)
        expected = tools.run_at(strategy.distribution, supernet, values, IMAGE)
        tools.assert_same(child(IMAGE), expected, atol=0.0, rtol=0.0)
        assert inherit_weights(child, supernet, values) == []


def test_derive_needs_a_supernet():
    with pytest.raises(Exception, match="no supernet yet"):
        SNAS().derive()


@pytest.mark.parametrize("made", ["derived", "built"])
def test_a_child_with_a_users_own_layer_can_be_shown(tools, made):
    """PyTorch's ONNX exporter asks for it, and NNI forgets the arguments of such a layer."""

    def init(self):
        self.layer = nn.Sequential(Scale(nni.choice("factor", [1, 2])), Scale(1))

    space = tools.space_of(init)
    if made == "derived":
        child = derive_child(tools.mutate(space())[1], {"factor": 2})
    else:
        child = build_child(space, {}, {"factor": 2})
    assert repr(child).count("Scale(") == 2
    assert child(IMAGE).shape == (3, 3, 5, 5)
    assert torch.export.export(child, (IMAGE,)).module()(IMAGE).shape == (3, 3, 5, 5)
