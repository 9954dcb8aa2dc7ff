"""The model spaces that steps are timed on."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn

from search_spaces import SnasCellSpace

__all__ = ["Chain", "Uneven", "make_space"]


class Chain(ModelSpace):
    """Cells one after the other, each one choice among equal 3x3 convolutions: its cost grows by known factors.

    Args:
        cells: choices in a row.
        channels: of every convolution.
        candidates: convolutions to choose from, at each place.
    """

    def __init__(self, cells: int, channels: int, candidates: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.cells = nn.ModuleList(
            LayerChoice([_convolution(channels) for _ in range(candidates)], label=f"cell{i}") for i in range(cells)
        )
        self.classifier = nn.Linear(channels, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(batch, 3, h, w)`` to logits ``(batch, 10)``."""
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


class Uneven(ModelSpace):
    """Layers one after the other, each a choice among hidden widths, so that no two candidates cost the same.

    Args:
        labels: choices in a row.
        candidates: widths to choose from, 1, 2 and so on, at each place.
        inputs: numbers of an example.
        classes: of the classifier.
    """

    def __init__(self, labels: int, candidates: int, inputs: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            LayerChoice([_hidden(inputs, width) for width in range(1, candidates + 1)], label=f"layer{i}")
            for i in range(labels)
        )
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs)`` to logits ``(batch, classes)``."""
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.classifier(x)
        return logits


def _hidden(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, inputs))


def _convolution(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


def make_space(name: str, **arguments: Any) -> ModelSpace:
    """Make the space ``hub`` (NNI's DARTS), ``snas`` (this project's) or ``chain``, with weights from seed 0."""
    torch.manual_seed(0)
    if name == "chain":
        return Chain(**arguments)
    if name == "snas":
        return SnasCellSpace(**{"channels": 8, "cells": 5, **arguments})
    if name == "hub":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nni.nas.hub.pytorch import DARTS as DartsSpace

            return DartsSpace(**{"width": 8, "num_cells": 5, "dataset": "cifar", **arguments})
    raise ValueError(f"space must be hub, snas or chain, got {name!r}.")
