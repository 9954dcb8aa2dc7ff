"""A space for tables: width and depth of a multilayer perceptron, with mutable layers."""

import nni
import torch
from nni.nas.nn.pytorch import ModelSpace, MutableLinear, Repeat
from sklearn.datasets import load_breast_cancer
from torch import nn


class TabularSpace(ModelSpace):
    """Input layer of a chosen width, zero to three hidden layers of it, and a classifier."""

    def __init__(self, features: int = 30, classes: int = 2):
        super().__init__()
        width = nni.choice("width", [16, 32, 64])
        self.first = MutableLinear(features, width)
        self.hidden = Repeat(lambda index: nn.Sequential(nn.ReLU(), MutableLinear(width, width)), (0, 3), label="depth")
        self.classifier = MutableLinear(width, classes)

    def forward(self, rows):
        return self.classifier(torch.relu(self.hidden(self.first(rows))))


def breast_cancer():
    """Scikit-learn's bundled table, each column scaled to mean 0 and standard deviation 1."""
    table = load_breast_cancer()
    rows = torch.tensor(table.data, dtype=torch.float32)
    return (rows - rows.mean(0)) / rows.std(0), torch.tensor(table.target)
