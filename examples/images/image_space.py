"""A space of nested blocks: how many there are, what each does, and which earlier result the head also sees."""

import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat
from torch import nn


def convolution(channels, kernel):
    """Convolution that keeps the size, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


class ImageSpace(ModelSpace):
    """Two stages of one to three blocks; a block is a convolution, a pooling, nothing, or a choice of two halves."""

    def __init__(self, channels: int = 16, in_channels: int = 1, classes: int = 10):
        super().__init__()
        self.stem = convolution_from(in_channels, channels)
        self.first = Repeat(lambda index: self.block(channels, f"first{index}"), (1, 3), label="first_depth")
        self.second = Repeat(lambda index: self.block(channels, f"second{index}"), (0, 2), label="second_depth")
        self.shortcut = InputChoice(n_candidates=3, n_chosen=None, reduction="sum", label="shortcut")
        self.classifier = nn.Linear(channels, classes)

    @staticmethod
    def block(channels, name):
        pair = LayerChoice([convolution(channels, 1), nn.MaxPool2d(3, 1, padding=1)], label=f"{name}_pair")
        return LayerChoice(
            {
                "conv3": convolution(channels, 3),
                "conv5": convolution(channels, 5),
                "pair": nn.Sequential(convolution(channels, 3), pair),
                "skip": nn.Identity(),
            },
            label=name,
        )

    def forward(self, images):
        stem = self.stem(images)
        first = self.first(stem)
        second = self.second(first)
        joined = second + self.shortcut([stem, first, second])
        return self.classifier(torch.flatten(joined.mean((2, 3)), 1))


def convolution_from(in_channels, channels):
    """The stem."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
