"""A space for sequences: attention, convolution or a recurrent layer in each block. The task is made here too."""

import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

LENGTH, SYMBOLS, CLASSES = 24, 8, 8


class Attention(nn.Module):
    """Self-attention with two heads."""

    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, num_heads=2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Convolution(nn.Module):
    """Convolution over five neighbouring positions."""

    def __init__(self, width):
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 5, padding=2)

    def forward(self, x):
        return torch.relu(self.convolution(x.transpose(1, 2)).transpose(1, 2))


class Recurrent(nn.Module):
    """A gated recurrent unit, read forwards."""

    def __init__(self, width):
        super().__init__()
        self.recurrent = nn.GRU(width, width, batch_first=True)

    def forward(self, x):
        return self.recurrent(x)[0]


class SequenceSpace(ModelSpace):
    """Embedding, residual blocks that each choose their layer, and a classifier on the last position."""

    def __init__(self, width: int = 32, blocks: int = 2, classes: int = CLASSES):
        super().__init__()
        self.embedding = nn.Linear(SYMBOLS, width)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        layers = {"attention": Attention, "convolution": Convolution, "recurrent": Recurrent}
        self.blocks = nn.ModuleList(
            LayerChoice({name: make(width) for name, make in layers.items()}, label=f"block{index}")
            for index in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.classifier = nn.Linear(width, classes)

    def forward(self, sequences):
        x = self.embedding(sequences) + self.position
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = x + block(norm(x))
        return self.classifier(x[:, -1])


def recall(count: int = 2400, seed: int = 0):
    """Which symbol came right after the marker (symbol 0)? The marker is anywhere, so neighbours are not enough."""
    generator = torch.Generator().manual_seed(seed)
    symbols = torch.randint(1, SYMBOLS, (count, LENGTH), generator=generator)
    marker = torch.randint(0, LENGTH - 1, (count,), generator=generator)
    rows = torch.arange(count)
    symbols[rows, marker] = 0
    return nn.functional.one_hot(symbols, SYMBOLS).float(), symbols[rows, marker + 1]
