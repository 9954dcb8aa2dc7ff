import dataclasses
import math

import pytest
import torch
from small_export_spaces import (
    MIXED_SAMPLE,
    NNI_CELL_SAMPLE,
    AnyArguments,
    EdgeSpace,
    Inherited,
    MixedSpace,
    NniCellSpace,
)
from torch import nn

from exports import Architecture, ArchitectureFileError, SpaceReference
from snas_nni.derivation.child import build_child


def test_create_records_class_arguments_cells_and_size(edge_architecture, edge_child):
    child = edge_child[2]
    assert edge_architecture.space == SpaceReference(
        class_path="small_export_spaces.EdgeSpace", arguments={"channels": 6, "classes": 5}
    )
    assert edge_architecture.parameters == sum(p.numel() for p in child.parameters())
    assert edge_architecture.cells == {"normal": [{"from": 1, "to": 3, "op": "conv"}]}
    assert edge_architecture.settings["temperature"] == [1.0, 0.03]
    assert edge_architecture.probabilities["normal/edge_0_2"]["conv"] == pytest.approx(0.7)
    assert set(edge_architecture.versions) == {"python", "torch", "nni", "snas-nni"}


def test_an_edge_gets_the_probability_of_its_label(edge_child):
    space, sample, child = edge_child
    by_op = {"none": 0.05, "skip": 0.05, "conv": 0.9}
    architecture = Architecture.create(
        space=space, sample=sample, child=child, probabilities={"normal/edge_1_3": by_op}
    )
    assert architecture.cells == {"normal": [{"from": 1, "to": 3, "op": "conv", "probability": 0.9}]}


def test_cells_of_nni_are_read_off_their_labels():
    child = build_child(NniCellSpace, {}, NNI_CELL_SAMPLE)
    architecture = Architecture.create(
        space=NniCellSpace(),
        sample=NNI_CELL_SAMPLE,
        child=child,
        probabilities={"unit/op_2_1": {"a": 0.25, "b": 0.75}},
    )
    assert [(edge["from"], edge["to"], edge["op"]) for edge in architecture.cells["unit"]] == [
        (0, 1, "a"),
        (0, 1, "b"),
        (0, 2, "a"),
        (1, 2, "b"),
    ]
    assert architecture.cells["unit"][3]["probability"] == 0.75


def test_a_space_without_cells_has_none():
    child = build_child(MixedSpace, {}, MIXED_SAMPLE)
    architecture = Architecture.create(space=MixedSpace(kernels=(1, 3)), sample=MIXED_SAMPLE, child=child)
    assert architecture.cells == {}
    assert architecture.space.arguments == {"kernels": [1, 3]}
    assert architecture.sample["pool"] == [2, 1]


def test_arguments_of_an_inherited_constructor_are_named():
    assert SpaceReference.of(Inherited(4, classes=2)).arguments == {"channels": 4, "classes": 2}


def test_tied_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    architecture = Architecture.create(space=AnyArguments(), sample={"op": 0}, child=Tied())
    assert architecture.parameters == 9


@pytest.mark.parametrize(
    ("space", "key", "words"),
    [
        (lambda: AnyArguments(nn.ReLU()), "space.arguments.block", "ReLU"),
        (lambda: AnyArguments([1, {"f": print}]), "space.arguments.block[1].f", "plain values"),
        (lambda: AnyArguments(1, 2, 3), "space.arguments.more", "by name"),
        (lambda: AnyArguments(rate=math.nan), "space.arguments.rate", "finite"),
        (lambda: nn.ReLU(), "space", "not an NNI ModelSpace"),
    ],
)
def test_arguments_that_json_cannot_carry_are_named(space, key, words):
    with pytest.raises(ArchitectureFileError, match=words) as caught:
        SpaceReference.of(space())
    assert caught.value.key == key


def test_free_named_arguments_are_recorded_flat():
    assert SpaceReference.of(AnyArguments(block=1, rate=0.5)).arguments == {"block": 1, "rate": 0.5}


def test_a_local_class_is_refused():
    class Local(EdgeSpace):
        pass

    with pytest.raises(ArchitectureFileError, match="top level of a module") as caught:
        SpaceReference.of(Local(2))
    assert caught.value.key == "space.class_path"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"metrics": {"accuracy": math.inf}}, "metrics.accuracy"),
        ({"metrics": {"accuracy": "good"}}, "metrics.accuracy"),
        ({"entropy": {"a": -0.5}}, "entropy.a"),
        ({"probabilities": {"a": {"b": 1.5}}}, "probabilities.a.b"),
        ({"settings": {"when": object()}}, "settings.when"),
        ({"settings": {3: 1}}, "settings"),
        ({"settings": {"text": "\ud800"}}, "settings.text"),
        ({"settings": {"number": 2**70}}, "settings.number"),
        ({"seed": 1.0}, "seed"),
        ({"seed": True}, "seed"),
        ({"parameters": -1}, "parameters"),
        ({"cells": {"normal": [{"from": 0, "to": 2}]}}, "cells.normal[0].op"),
        ({"cells": {"normal": [{"from": 0, "to": 2, "op": "x", "colour": 1}]}}, "cells.normal[0].colour"),
        ({"weights": "w.safetensors"}, "sha256"),
        ({"sha256": "0" * 64}, "weights"),
        ({"weights": "w.safetensors", "sha256": "0" * 64 + "\n"}, "sha256"),
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"format": "other"}, "format"),
        ({"sample": [1]}, "sample"),
        ({"space": SpaceReference(class_path="Name")}, "space.class_path"),
        ({"space": SpaceReference(class_path="a.b-c")}, "space.class_path"),
        ({"space": SpaceReference(class_path="a..b")}, "space.class_path"),
    ],
)
def test_an_invalid_record_cannot_be_made(edge_architecture, change, key):
    with pytest.raises(ArchitectureFileError) as caught:
        dataclasses.replace(edge_architecture, **change)
    assert caught.value.key == key
    assert caught.value.remedy


def test_candidates_that_read_alike_are_refused(edge_child):
    space, sample, child = edge_child
    with pytest.raises(ArchitectureFileError, match="read '1'"):
        Architecture.create(space=space, sample=sample, child=child, probabilities={"a": {1: 0.5, "1": 0.5}})


def test_rounding_at_the_bounds_is_no_error(edge_child):
    space, sample, child = edge_child
    architecture = Architecture.create(
        space=space,
        sample=sample,
        child=child,
        probabilities={"a": {"x": torch.tensor(1.0) + 1e-7}},
        entropy={"a": -1e-9},
    )
    assert architecture.probabilities["a"]["x"] == 1.0
    assert architecture.entropy["a"] == 0.0


def test_the_record_keeps_its_own_copy(edge_child):
    space, sample, child = edge_child
    given = dict(sample)
    architecture = Architecture.create(space=space, sample=given, child=child)
    given["side"] = [0]
    assert architecture.sample["side"] == []
