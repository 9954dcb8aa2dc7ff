import sys
from pathlib import Path

import pytest
import torch

# The spaces need a module that can be imported by name, as a user's would.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "report")]


@pytest.fixture(scope="session")
def edge_child():
    """An EdgeSpace, its aggressive sample and a child with weights that are not the initial ones."""
    from small_export_spaces import EdgeSpace, aggressive_sample

    from snas_nni.derivation.child import build_child

    torch.manual_seed(3)
    space = EdgeSpace(6, classes=5)
    sample = aggressive_sample()
    child = build_child(EdgeSpace, {"channels": 6, "classes": 5}, sample)
    child.train()
    for _ in range(3):
        child(torch.randn(4, 3, 8, 8))  # moves the running statistics away from 0 and 1
    return space, sample, child.eval()


@pytest.fixture
def edge_architecture(edge_child):
    from exports import Architecture

    space, sample, child = edge_child
    return Architecture.create(
        space=space,
        sample=sample,
        child=child,
        probabilities={"normal/edge_0_2": {"none": 0.1, "skip": 0.2, "conv": torch.tensor(0.7)}},
        entropy={"normal/edge_0_2": torch.tensor(0.8018)},
        seed=7,
        settings={"epochs": 3, "temperature": (1.0, 0.03), "budget": None},
        metrics={"accuracy": 0.5},
    )


@pytest.fixture
def saved(edge_architecture, edge_child, tmp_path):
    """The path of an architecture file with weights beside it."""
    from exports import save, save_weights

    digest = save_weights(edge_child[2], tmp_path / "child.safetensors")
    path = tmp_path / "architecture.json"
    save(edge_architecture.with_weights("child.safetensors", digest), path)
    return path
