"""Small model spaces for the tests of exports."""

import nni
import torch
from nni.mutable import ensure_frozen, label_scope
from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, ModelSpace, MutableConv2d, Repeat
from torch import nn


class Zeros(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def conv(channels):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


class EdgeSpace(ModelSpace):
    """Two inputs and two nodes, one choice an edge; the skip into the head may choose any inputs, or none."""

    EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    def __init__(self, channels, *, classes=10):
        super().__init__()
        self.stems = nn.ModuleList(nn.Conv2d(3, channels, 1) for _ in range(2))
        with label_scope("normal"):
            self.edges = nn.ModuleList(
                LayerChoice({"none": Zeros(), "skip": nn.Identity(), "conv": conv(channels)}, label=f"edge_{i}_{j}")
                for i, j in self.EDGES
            )
        self.side = InputChoice(2, n_chosen=None, reduction="sum", label="side")
        self.head = nn.Linear(3 * channels, classes)
        self.auxiliary = nn.Linear(channels, classes)

    @staticmethod
    def describe_cells(sample):
        chosen = {(i, j): sample[f"normal/edge_{i}_{j}"] for i, j in EdgeSpace.EDGES}
        return {"normal": [{"from": i, "to": j, "op": op} for (i, j), op in chosen.items() if op != "none"]}

    def forward(self, x):
        states = [stem(x) for stem in self.stems]
        for node in (2, 3):
            feeds = [edge(states[i]) for (i, j), edge in zip(self.EDGES, self.edges, strict=True) if j == node]
            states.append(sum(feeds))
        pooled = torch.cat([states[2], states[3], self.side(states[:2])], 1).mean((2, 3))
        logits = self.head(pooled)
        return (logits, self.auxiliary(states[0].mean((2, 3)))) if self.training else logits


def aggressive_sample():
    """Node 2 has no live input, node 3 one, and the side choice chose nothing."""
    sample = {f"normal/edge_{i}_{j}": "none" for i, j in EdgeSpace.EDGES}
    return {**sample, "normal/edge_1_3": "conv", "side": []}


class MixedSpace(ModelSpace):
    """Every kind of candidate value: an integer, a truth value, a tuple, a depth, indices, positions."""

    def __init__(self, width=4, kernels=(1, 3), dropout=0.1):
        super().__init__()
        kernel = nni.choice("kernel", list(kernels))
        self.stem = MutableConv2d(3, width, kernel, padding=0)
        bias = nni.choice("bias", [True, False])
        self.add_mutable(bias)
        self.head = nn.Linear(width, 4, bias=ensure_frozen(bias))
        pool = nni.choice("pool", [(1, 1), (2, 1)])
        self.add_mutable(pool)
        self.pool = nn.AdaptiveAvgPool2d(ensure_frozen(pool))
        self.blocks = Repeat(lambda _: conv(width), (0, 2), label="depth")
        self.op = LayerChoice([nn.Identity(), nn.ReLU()], label="op")
        self.inputs = InputChoice(3, n_chosen=2, reduction="mean", label="inputs")

    def forward(self, x):
        x = self.stem(x)
        y = self.op(self.blocks(x))
        return self.head(self.pool(self.inputs([x, y, x + y])).mean((2, 3)))


MIXED_SAMPLE = {"kernel": 3, "bias": False, "pool": (2, 1), "depth": 1, "op": 1, "inputs": [0, 2]}


class NniCellSpace(ModelSpace):
    def __init__(self, channels=4):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 1)
        self.cell = Cell(
            {"a": nn.Conv2d(channels, channels, 1), "b": nn.Identity()}, 2, 2, num_predecessors=1, label="unit"
        )
        self.head = nn.Linear(2 * channels, 3)

    def forward(self, x):
        return self.head(self.cell([self.stem(x)]).mean((2, 3)))


NNI_CELL_SAMPLE = {
    **{f"unit/op_{node}_{slot}": "ab"[slot] for node in (1, 2) for slot in (0, 1)},
    **{f"unit/input_{node}_{slot}": [slot if node == 2 else 0] for node in (1, 2) for slot in (0, 1)},
}


class AnyArguments(ModelSpace):
    """Takes objects, positional and named, that a file cannot carry."""

    def __init__(self, block=None, *more, **named):
        super().__init__()
        self.op = LayerChoice([nn.Linear(2, 2), nn.Identity()], label="op")


class Inherited(EdgeSpace):
    """Has no constructor of its own."""


class ReadsWeights(ModelSpace):
    """Its constructor needs real tensors, not ones without memory."""

    def __init__(self):
        super().__init__()
        self.op = LayerChoice([nn.Linear(2, 2), nn.Identity()], label="op")
        self.first = float(torch.zeros(1))


class NotASpace:
    pass
