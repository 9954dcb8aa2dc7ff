import dataclasses
import json
import sys

import pytest
import torch
from small_export_spaces import (
    MIXED_SAMPLE,
    NNI_CELL_SAMPLE,
    EdgeSpace,
    MixedSpace,
    NniCellSpace,
    NotASpace,
    ReadsWeights,
)

from exports import Architecture, ArchitectureFileError, SpaceReference, build, load, save, save_weights
from snas_nni.derivation.child import build_child


def record(space, sample, arguments=None):
    child = build_child(space, arguments or {}, sample)
    return Architecture.create(space=space(**(arguments or {})), sample=sample, child=child)


def test_rebuilt_child_gives_the_same_logits(saved, edge_child):
    rebuilt = build(load(saved), spaces=[EdgeSpace]).eval()
    x = torch.randn(4, 3, 8, 8)
    assert torch.equal(rebuilt(x), edge_child[2](x))


@pytest.mark.parametrize(
    ("space", "sample"),
    [(MixedSpace, MIXED_SAMPLE), (NniCellSpace, NNI_CELL_SAMPLE), (ReadsWeights, {"op": 0})],
)
def test_every_kind_of_choice_comes_back(tmp_path, space, sample):
    torch.manual_seed(1)
    child = build_child(space, {}, sample).eval()
    architecture = Architecture.create(space=space(), sample=sample, child=child)
    digest = save_weights(child, tmp_path / "w.safetensors")
    save(architecture.with_weights(tmp_path / "w.safetensors", digest), tmp_path / "a.json")
    rebuilt = build(load(tmp_path / "a.json"), spaces=space).eval()
    assert str(rebuilt) == str(child)
    assert all(torch.equal(value, rebuilt.state_dict()[name]) for name, value in child.state_dict().items())


def test_child_of_a_hub_space_is_built_without_permission():
    from nni.nas.hub.pytorch.nasnet import DARTS

    arguments = {"width": 4, "num_cells": 3, "dataset": "cifar"}
    space = DARTS(**arguments)
    sample = {}
    space.default(sample)
    child = build_child(DARTS, arguments, sample).eval()
    architecture = Architecture.create(space=space, sample=sample, child=child)
    assert set(architecture.cells) == {"normal", "reduce"}
    assert build(architecture, weights=False)(torch.randn(2, 3, 32, 32))[0].shape[-1] == 10


def test_new_weights_follow_the_seed(edge_architecture):
    torch.manual_seed(5)
    first = build(edge_architecture, spaces=[EdgeSpace], weights=False)
    torch.manual_seed(5)
    second = build_child(EdgeSpace, edge_architecture.space.arguments, edge_architecture.sample)
    assert torch.equal(first.head.weight, second.head.weight)


def test_weights_from_another_path(saved, edge_child, tmp_path):
    digest_free = tmp_path / "other.safetensors"
    child = build(load(saved), spaces=[EdgeSpace], weights=False)
    save_weights(child, digest_free)
    rebuilt = build(load(saved), spaces=[EdgeSpace], weights=digest_free)
    assert torch.equal(rebuilt.head.weight, child.head.weight)
    assert not torch.equal(rebuilt.head.weight, edge_child[2].head.weight)


def test_tampered_weights_are_refused(saved):
    weights = saved.with_name("child.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArchitectureFileError, match="SHA-256 differs") as caught:
        build(load(saved), spaces=[EdgeSpace])
    assert caught.value.key == "sha256"


def test_absent_weights_are_explained(saved, edge_architecture):
    with pytest.raises(ArchitectureFileError, match="weights: the record has none"):
        build(edge_architecture, spaces=[EdgeSpace])
    unsaved = edge_architecture.with_weights("w", "0" * 64)
    with pytest.raises(ArchitectureFileError, match="not loaded from a file"):
        build(unsaved, spaces=[EdgeSpace])
    saved.with_name("child.safetensors").unlink()
    with pytest.raises(ArchitectureFileError, match="cannot be read"):
        build(load(saved), spaces=[EdgeSpace])


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"normal/edge_0_2": "pool"}, "sample.normal/edge_0_2", "'pool', which is not among"),
        ({"normal/edge_0_2": 0}, "sample.normal/edge_0_2", "0, which is not among"),
        ({"normal/edge_0_2": None}, "sample.normal/edge_0_2", "None, which is not among"),
        ({"normal/edge_9_9": "skip"}, "sample.normal/edge_9_9", "not a label of the space"),
        ({"side": 1}, "sample.side", "not a list"),
        ({"side": [2]}, "sample.side", "2, which is not among"),
        ({"side": [True]}, "sample.side", "True, which is not among"),
        ({"side": [0, 0]}, "sample.side", "duplicates"),
    ],
)
def test_a_sample_of_another_space_is_refused_by_label(edge_architecture, change, key, words):
    wrong = dataclasses.replace(edge_architecture, sample={**edge_architecture.sample, **change})
    with pytest.raises(ArchitectureFileError, match=words) as caught:
        build(wrong, spaces=[EdgeSpace], weights=False)
    assert caught.value.key == key


def test_a_missing_label_is_named(edge_architecture):
    sample = dict(edge_architecture.sample)
    del sample["normal/edge_0_3"]
    wrong = dataclasses.replace(edge_architecture, sample=sample)
    with pytest.raises(ArchitectureFileError, match=r"sample\.normal/edge_0_3: is missing"):
        build(wrong, spaces=[EdgeSpace], weights=False)


def test_several_inputs_may_be_written_one_by_one(edge_architecture):
    sample = {**edge_architecture.sample, "side/0": True, "side/1": False}
    del sample["side"]
    child = build(dataclasses.replace(edge_architecture, sample=sample), spaces=[EdgeSpace], weights=False)
    assert child.side.chosen == [0]


def test_the_number_of_inputs_is_checked():
    wrong = dataclasses.replace(record(MixedSpace, MIXED_SAMPLE), sample={**MIXED_SAMPLE, "inputs": [0]})
    with pytest.raises(ArchitectureFileError, match=r"sample\.inputs"):
        build(wrong, spaces=[MixedSpace], weights=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channels": 6, "colour": 1}, "colour"),
        ({}, "channels"),
        ({"channels": "many"}, "refused them"),
        ({"channels": -1}, "refused them"),
    ],
)
def test_wrong_arguments_are_refused(edge_architecture, arguments, words):
    space = SpaceReference(class_path=edge_architecture.space.class_path, arguments=arguments)
    with pytest.raises(ArchitectureFileError, match=words) as caught:
        build(dataclasses.replace(edge_architecture, space=space), spaces=[EdgeSpace], weights=False)
    assert caught.value.key == "space.arguments"


def test_a_child_of_another_size_is_refused(edge_architecture):
    wrong = dataclasses.replace(edge_architecture, parameters=edge_architecture.parameters + 1)
    with pytest.raises(ArchitectureFileError, match="parameters: the child has"):
        build(wrong, spaces=[EdgeSpace], weights=False)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module on the import path that leaves a mark when it is imported."""
    folder = tmp_path / "trap"
    folder.mkdir()
    code = (
        "from pathlib import Path\n"
        "Path(__file__).with_name('mark').touch()\n"
        "from small_export_spaces import EdgeSpace as Borrowed\n"
        "class Space(Borrowed):\n    pass\n"
        "class Outer:\n    class Inner(Borrowed):\n        pass\n"
    )
    for name in ("trap_module", "search_spaces_trap", "broken_trap"):
        (folder / f"{name}.py").write_text(code + "1 / 0\n" * name.startswith("broken"))
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("trap_module", "search_spaces_trap", "broken_trap"):
        sys.modules.pop(name, None)


def at(architecture, class_path):
    return dataclasses.replace(
        architecture, space=SpaceReference(class_path=class_path, arguments=architecture.space.arguments)
    )


@pytest.mark.parametrize("class_path", ["trap_module.Space", "search_spaces_trap.Space"])
def test_a_file_alone_never_imports_a_module(edge_architecture, trap, class_path):
    with pytest.raises(ArchitectureFileError, match="may be imported") as caught:
        build(at(edge_architecture, class_path), weights=False)
    assert class_path in str(caught.value)
    assert "spaces=[" in str(caught.value)
    assert not (trap / "mark").exists()
    assert class_path.split(".")[0] not in sys.modules
    build(at(edge_architecture, class_path), spaces=class_path.split(".")[0], weights=False)
    assert (trap / "mark").exists()


@pytest.mark.parametrize(
    "class_path", ["os.system", "subprocess.Popen", "builtins.eval", "nni.nas.strategy.DARTS", "nni.nas.hubs.X"]
)
def test_modules_outside_are_refused(edge_architecture, class_path):
    with pytest.raises(ArchitectureFileError, match="may be imported"):
        build(at(edge_architecture, class_path), weights=False)


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        ("snas_nni.derivation.child.ModelSpace", "defines no class"),
        ("snas_nni.derivation.child.nn", "defines no class"),
        ("snas_nni.supernet.frozen.NoInputs", "not an NNI ModelSpace"),
        ("snas_nni.derivation.child.build_child", "defines no class"),
        ("snas_nni.supernet.frozen.NoInputs.forward", "cannot be imported"),
        ("snas_nni.nowhere.Space", "cannot be imported"),
        ("search_spaces.Absent", "defines no class"),
        ("trap_module.Borrowed", "defines no class"),
        ("trap_module.Outer.Inner", "cannot be imported"),
        ("broken_trap.Space", "division by zero"),
    ],
)
def test_only_a_space_defined_in_its_module_is_taken(edge_architecture, trap, class_path, words):
    with pytest.raises(ArchitectureFileError, match=words) as caught:
        build(at(edge_architecture, class_path), spaces=["trap_module", "broken_trap"], weights=False)
    assert caught.value.key == "space.class_path"


@pytest.mark.parametrize("spaces", [NotASpace, [NotASpace], [3], ["a b"], [""]])
def test_spaces_must_be_spaces_or_names(edge_architecture, spaces):
    with pytest.raises(ArchitectureFileError, match=r"space\.class_path"):
        build(edge_architecture, spaces=spaces, weights=False)


@pytest.mark.parametrize(
    "spaces", [EdgeSpace, [EdgeSpace], "small_export_spaces", "small_export_spaces.EdgeSpace", {"small_export_spaces"}]
)
def test_ways_to_allow_a_space(edge_architecture, spaces):
    assert isinstance(build(edge_architecture, spaces=spaces, weights=False), EdgeSpace)


def test_a_space_recorded_from_a_script_is_found_by_its_class(edge_architecture):
    assert build(at(edge_architecture, "__main__.EdgeSpace"), spaces=EdgeSpace, weights=False)
    with pytest.raises(ArchitectureFileError, match="was written in a notebook or a script"):
        build(at(edge_architecture, "__main__.EdgeSpace"), weights=False)


def test_errors_of_building_name_the_file(saved):
    document = json.loads(saved.read_text())
    document["sample"]["side"] = [5]
    saved.write_text(json.dumps(document))
    with pytest.raises(ArchitectureFileError, match=r"architecture\.json: sample\.side") as caught:
        build(load(saved), spaces=[EdgeSpace])
    assert caught.value.file == saved
