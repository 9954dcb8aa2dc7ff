"""The graph of a network: what reads what, and which of it the child has, against graphs drawn by hand."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import (
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableBatchNorm2d,
    MutableConv2d,
    MutableLinear,
    Repeat,
)  # fmt: skip
from torch import nn

from exports import InputExample
from exports.network.tracing import trace_network
from snas_nni import SNAS


class Branches(ModelSpace):
    """A residual, a choice whose skip returns its own input, and two branches that are joined."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.choice = LayerChoice({"skip": nn.Identity(), "conv": nn.Conv2d(4, 4, 1)}, label="op")
        self.left = nn.Conv2d(4, 2, 1)
        self.right = nn.Sequential(nn.Conv2d(4, 2, 3, padding=1), nn.ReLU())
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        stem = self.stem(images)
        chosen = self.choice(stem)
        total = chosen + stem
        joined = self.norm(torch.cat([self.left(total), self.right(total)], 1))
        return self.head(joined.mean((2, 3)))


class Nested(ModelSpace):
    """Blocks with a depth, a choice inside of a candidate, and a choice of inputs."""

    def __init__(self):
        super().__init__()
        inner = LayerChoice([nn.Conv2d(2, 2, 1), nn.MaxPool2d(3, 1, padding=1)], label="inner")
        self.blocks = Repeat(
            lambda index: LayerChoice(
                {"pair": nn.Sequential(nn.Conv2d(2, 2, 1), inner), "skip": nn.Identity()}, label=f"block{index}"
            ),
            (0, 2),
            label="depth",
        )
        self.inputs = InputChoice(n_candidates=2, n_chosen=1, label="source")
        self.last = nn.Conv2d(2, 2, 1)

    def forward(self, images):
        return self.last(self.inputs([images, self.blocks(images)]))


class Widths(ModelSpace):
    def __init__(self):
        super().__init__()
        width = nni.choice("width", [4, 8])
        kernel = nni.choice("kernel", [1, 3])
        self.conv = MutableConv2d(1, width, kernel, padding=kernel // 2)
        self.norm = MutableBatchNorm2d(width)
        self.relu = nn.ReLU()
        self.head = MutableLinear(width, 3)

    def forward(self, images):
        return self.head(self.relu(self.norm(self.conv(images))).mean((2, 3)))


def traced(space, sample, shape):
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(space)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = trace_network(supernet, strategy.distribution, sample, InputExample(shape))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in supernet.modules())
    return network.nodes


def named(nodes):
    """``{name: (active, {what it reads: whether it does})}``."""
    return {node.name: (node.active, {nodes[source].name: used for source, used in node.inputs}) for node in nodes}


@pytest.mark.parametrize("chosen", ["skip", "conv"])
def test_residuals_and_branches(chosen):
    nodes = traced(Branches(), {"op": chosen}, (1, 4, 4))
    assert named(nodes) == {
        "input": (True, {}),
        "stem": (True, {"input": True}),
        "choice": (True, {"stem": True}),
        "add": (True, {"choice": True, "stem": True}),
        "left": (True, {"add": True}),
        "right": (True, {"add": True}),
        "cat": (True, {"left": True, "right": True}),
        "head": (True, {"cat": True}),
        "output": (True, {"head": True}),
    }
    texts = {node.name: node.text for node in nodes}
    assert texts["stem"] == "Conv2d 3×3, 1 → 4"
    assert texts["right"] == "Conv2d 3×3, 4 → 2 · ReLU"
    assert texts["cat"] == "BatchNorm2d"  # behind what it reads
    assert texts["choice"] == {"skip": "Identity", "conv": "Conv2d 1×1, 4 → 4"}[chosen]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_blocks_beyond_the_depth_and_what_they_hold_are_not_in_the_child(depth):
    sample = {"depth": depth, "block0": "pair", "block1": "skip", "inner": 0, "source": [1]}
    found = named(traced(Nested(), sample, (2, 4, 4)))
    assert found["blocks"][0]
    assert found["blocks.blocks.0"] == (depth > 0, {"input": depth > 0})
    assert found["blocks.blocks.1"] == (depth > 1, {"blocks.blocks.0": depth > 1})
    last = "input" if depth == 0 else f"blocks.blocks.{depth - 1}"
    assert found["inputs"] == (True, {"input": depth == 0, last: True})
    assert found["last"] == (True, {"inputs": True})


@pytest.mark.parametrize(("block", "source", "inner"), [("pair", 1, True), ("skip", 1, False), ("pair", 0, False)])
def test_a_choice_inside_of_a_candidate_is_in_the_child_where_the_candidate_is(block, source, inner):
    sample = {"depth": 1, "block0": block, "block1": "pair", "inner": 1, "source": [source]}
    nodes = traced(Nested(), sample, (2, 4, 4))
    within = [(nodes[node.group].name, node.branch, node.active) for node in nodes if node.labels == ("inner",)]
    assert within == [("blocks.blocks.0", "pair", inner), ("blocks.blocks.1", "pair", False)]
    # An input that is not chosen leaves what leads to it out of the child.
    assert named(nodes)["blocks.blocks.0"][0] == (source == 1)
    assert named(nodes)["inputs"][1] == {"input": source == 0, "blocks.blocks.0": source == 1}


@pytest.mark.parametrize(("width", "kernel"), [(4, 3), (8, 1)])
def test_layers_have_the_sizes_of_the_child(width, kernel):
    nodes = traced(Widths(), {"width": width, "kernel": kernel}, (1, 4, 4))
    assert [(node.name, node.text, node.labels) for node in nodes[1:-1]] == [
        ("conv", f"Conv2d {kernel}×{kernel}, 1 → {width} · BatchNorm2d · ReLU", ("width", "kernel")),
        ("head", f"Linear {width} → 3", ("width",)),
    ]
