"""The paper's cells as files: their sizes are the published ones, and the odd one trains and exports."""

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

from benchmarks.published_files import write_published
from exports import PUBLISHED, ArchitectureFileError, build, export_onnx, published
from search_spaces import SnasCellSpace
from snas_nni.derivation.child import build_child

FOLDER = Path(__file__).parents[3] / "exports" / "published"
CIFAR = {"mild": 422_212_608, "moderate": 440_681_472, "aggressive": 374_906_880}


def sized(level: str, **arguments) -> nn.Module:
    """Build at other arguments, without memory for weights: counting needs none."""
    architecture = published(level)
    with torch.device("meta"):
        return build_child(SnasCellSpace, {**architecture.space.arguments, **arguments}, architecture.sample)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs(child: nn.Module, side: int) -> dict[type, int]:
    """Multiply-accumulates of convolutions and of linear layers while one image runs."""
    found = {nn.Conv2d: 0, nn.Linear: 0}

    def add(module: nn.Module, inputs, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            found[nn.Conv2d] += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            found[nn.Linear] += module.weight.numel()

    handles = [module.register_forward_hook(add) for module in child.modules()]
    child.eval()(torch.zeros(1, 3, side, side, device="meta"))
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.slow
def test_files_are_what_their_facts_give(tmp_path: Path) -> None:
    for path in write_published(tmp_path):
        assert path.read_bytes() == (FOLDER / path.name).read_bytes()
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PUBLISHED)


def test_unknown_level_is_named() -> None:
    with pytest.raises(ArchitectureFileError, match=r"'harsh'.*mild, moderate, aggressive"):
        published("harsh")


@pytest.mark.parametrize("level", PUBLISHED)
def test_records(level: str) -> None:
    architecture = published(level)
    assert architecture.space.arguments == {"channels": 36, "cells": 20, "affine": True}
    assert {name: len(edges) for name, edges in architecture.cells.items()} == {"normal": 14, "reduction": 14}
    assert architecture.sample == SnasCellSpace.sample_from_cells(
        json.loads((FOLDER / f"{level}.json").read_text())["cells"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "plain", "auxiliary", "without_pool_norm"),
    [
        ("mild", 2_663_542, 3_139_968, 2_661_382),
        ("moderate", 2_848_222, 3_324_648, 2_847_358),
        ("aggressive", 2_313_622, 2_790_048, 2_313_622),
    ],
)
def test_sizes_on_cifar10(level: str, plain: int, auxiliary: int, without_pool_norm: int) -> None:
    child = sized(level)
    assert parameters(child) == published(level).parameters == plain
    assert macs(child, 32) == {nn.Conv2d: CIFAR[level], nn.Linear: 5_760}
    with_head = sized(level, auxiliary=True)
    assert parameters(with_head) == auxiliary
    assert macs(with_head, 32)[nn.Conv2d] == CIFAR[level]
    bare = sized(level, pool_norm=False)
    assert parameters(bare) == without_pool_norm
    assert macs(bare, 32)[nn.Conv2d] == CIFAR[level]


@pytest.mark.slow
def test_a_record_builds() -> None:
    child = build(published("mild"), weights=False)
    assert parameters(child) == 2_663_542


@pytest.mark.parametrize(
    ("level", "first_three", "cell_6", "cell_7", "middle", "cell_13", "cell_14", "last"),
    [
        ("mild", (19_764, 21_060, 22_356), 28_872, 73_224, 83_592, 109_584, 281_232, 322_704),
        ("moderate", (19_224, 20_520, 21_816), 99_720, 69_552, 79_920, 354_960, 263_520, 304_992),
        ("aggressive", (16_992, 18_288, 19_584), 49_536, 59_904, 70_272, 182_016, 223_488, 264_960),
    ],
)
def test_sizes_of_cells(level, first_three, cell_6, cell_7, middle, cell_13, cell_14, last) -> None:
    child = sized(level)
    expected = [*first_three, *[first_three[2]] * 3, cell_6, cell_7, *[middle] * 5, cell_13, cell_14, *[last] * 5]
    assert [parameters(cell) for cell in child.cells] == expected
    assert (parameters(child.stem), parameters(child.classifier)) == (3_132, 5_770)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "channels", "size", "million_macs"),
    [
        ("mild", 48, 3_942_208, 438.0),
        ("mild", 50, 4_238_875, 474.2),
        ("moderate", 48, 4_313_728, 465.6),
        ("moderate", 50, 4_637_475, 503.5),
        ("aggressive", 48, 3_561_952, 395.7),
        ("aggressive", 50, 3_823_575, 427.7),
    ],
)
def test_sizes_on_imagenet(level: str, channels: int, size: int, million_macs: float) -> None:
    child = sized(level, cells=14, channels=channels, classes=1000, stem="imagenet")
    assert parameters(child) == size
    assert round(sum(macs(child, 224).values()) / 1e6, 1) == million_macs


@pytest.mark.slow
def test_a_cell_with_nodes_and_an_input_without_use_trains_and_exports(tmp_path: Path) -> None:
    architecture = published("aggressive")
    child = build_child(SnasCellSpace, {"channels": 4, "cells": 3, "affine": True}, architecture.sample)
    optimizer = torch.optim.SGD(child.parameters(), 0.1)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8)
    before = child.stem.conv.weight.clone()
    loss = nn.functional.cross_entropy(child.train()(images), labels)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert not torch.equal(child.stem.conv.weight, before)
    unread = child.cells[1].preprocess1.conv.weight.grad
    assert unread is None or not unread.any()

    export_onnx(child, tmp_path / "model.onnx", (3, 16, 16))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), child.eval()(images), rtol=1e-3, atol=1e-4)
