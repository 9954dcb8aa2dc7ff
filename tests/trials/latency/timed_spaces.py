"""A space whose children a program times by counting, and that program's arithmetic."""

import nni
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableConv2d, MutableLinear, Repeat
from torch import nn

__all__ = ["TIMER", "TimedSpace"]


class TimedSpace(ModelSpace):
    """A choice, a depth of nested choices, a width."""

    def __init__(self, in_channels: int = 3, classes: int = 3):
        super().__init__()
        width = nni.choice("width", [4, 8])
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.first = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="first")
        self.blocks = Repeat(
            lambda index: LayerChoice({"conv": nn.Conv2d(4, 4, 1), "relu": nn.ReLU()}, label=f"block{index}"),
            (1, 3),
            label="depth",
        )
        self.wide = MutableConv2d(4, width, 1)
        self.head = MutableLinear(width, classes)

    def forward(self, x):
        return self.head(self.wide(self.blocks(self.first(self.stem(x)))).mean((2, 3)))


TIMER = """
import sys
import onnx
graph = onnx.load(sys.argv[1]).graph
sides = {each.name: each.dims for each in graph.initializer}
# A convolution takes 2 ms, half a millisecond more for each output channel, and 1 ms for a larger kernel.
total = 3.0
for node in graph.node:
    if node.op_type == "Conv":
        outputs, _, height, _ = sides[node.input[1]]
        total += 2.0 + 0.5 * outputs + (1.0 if height > 1 else 0.0)
    elif node.op_type == "Relu":
        total += 0.25
print(total)
"""
