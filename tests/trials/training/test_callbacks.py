"""Drop-path: the right edges, the right probability, and nothing of it left afterwards."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from exports import published
from search_spaces import NasBench201Space, SnasCellSpace
from search_spaces.operations import FactorizedReduce
from snas_nni.cpu_kernels.depthwise import _DepthwiseConvolution
from snas_nni.derivation.child import build_child
from snas_nni.errors import SettingError
from trials.training.callbacks import DropPath, FastLayers, droppable_edges


def child_of(level: str) -> nn.Module:
    return build_child(SnasCellSpace, {"channels": 2, "cells": 3, "in_channels": 1}, published(level).sample)


def hooked(child: nn.Module, final: float) -> tuple[DropPath, SimpleNamespace]:
    module = nn.Module()
    module.model = child
    drop_path = DropPath(final)
    drop_path.on_fit_start(None, module)
    return drop_path, module


def test_only_edges_with_an_operation_are_dropped() -> None:
    child = child_of("mild")  # 3 cells: normal, reduction, reduction
    edges = droppable_edges(child)
    # Normal cell: 8 live edges, 4 of them identities. Reduction: 8 live ones, the two 2 -> 3 and 2 -> 4 identities.
    assert len(edges) == 4 + 6 + 6
    assert not any(isinstance(edge, nn.Identity) for edge in edges)
    aggressive = child_of("aggressive")
    # Normal: 3 operations beside 5 identities; reduction: two operations only.
    assert len(droppable_edges(aggressive)) == 3 + 2 + 2


def test_a_skip_of_stride_2_is_an_operation() -> None:
    sample = {**published("mild").sample, "reduction/edge_0_2": "skip_connect"}
    child = build_child(SnasCellSpace, {"channels": 2, "cells": 3, "in_channels": 1}, sample)
    assert sum(isinstance(edge, FactorizedReduce) for edge in droppable_edges(child)) == 2


def test_other_spaces_have_edges_too() -> None:
    sample = {f"cell/edge_{i}_{j}": "nor_conv_1x1" for i, j in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))}
    child = build_child(NasBench201Space, {"channels": 2, "cells_per_stage": 1}, sample)
    assert len(droppable_edges(child)) == 18


def test_nni_cells_have_edges() -> None:
    from nni.nas.nn.pytorch import Cell, ModelSpace

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Cell(
                {"conv": lambda node, index, source: nn.Conv2d(2, 2, 1), "skip": lambda *_: nn.Identity()},
                num_nodes=2,
                num_ops_per_node=1,
                num_predecessors=1,
                merge_op="all",
                label="cell",
            )

    sample = {"cell/op_1_0": "conv", "cell/op_2_0": "skip", "cell/input_1_0": [0], "cell/input_2_0": [1]}
    child = build_child(Space, {}, sample)
    assert [type(edge) for edge in droppable_edges(child)] == [nn.Conv2d]


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.0), (1, 0.2 / 600), (300, 0.1), (599, 0.2 * 599 / 600)])
def test_probability_rises_linearly(epoch: int, expected: float) -> None:
    drop_path = DropPath(0.2)
    drop_path.on_train_batch_start(SimpleNamespace(current_epoch=epoch, max_epochs=600), None, None, 0)
    assert drop_path.probability == pytest.approx(expected, abs=1e-15)


def test_drops_whole_images_in_training_only_and_keeps_the_mean() -> None:
    child = child_of("mild").train()
    edge = nn.ReLU()
    child.cells[0].edges["edge_0_2"] = edge
    drop_path, _ = hooked(child, 0.5)
    ones = torch.ones(4000, 2, 3, 3)
    assert torch.equal(edge(ones), ones)  # the first epoch drops nothing
    drop_path.probability = 0.25
    output = edge(ones)
    first = output[:, 0, 0, 0]
    assert torch.equal(output, first.view(-1, 1, 1, 1).expand_as(output))
    assert sorted(set(first.tolist())) == pytest.approx([0, 1 / 0.75])
    assert float(first.mean()) == pytest.approx(1, abs=4 * (0.25 / 0.75 / 4000) ** 0.5)
    child.eval()
    assert torch.equal(edge(ones), ones)


def test_leaves_the_child_as_it_was() -> None:
    child = child_of("mild")
    names = list(child.state_dict())
    drop_path, module = hooked(child, 0.2)
    assert list(child.state_dict()) == names
    assert any(edge._forward_hooks for edge in droppable_edges(child))
    drop_path.on_fit_end(None, module)
    assert not any(edge._forward_hooks for edge in child.modules())
    drop_path, module = hooked(child, 0.0)
    assert not any(edge._forward_hooks for edge in child.modules())


def test_a_child_without_cells_is_refused() -> None:
    with pytest.raises(SettingError, match=r"training\.drop_path is 0\.2.*Linear"):
        hooked(nn.Linear(2, 2), 0.2)


class Training(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = nn.Conv2d(2, 2, 5, padding=2, groups=2)
        self.orders = []
        self.model.register_forward_hook(
            lambda _, inputs, output: self.orders.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        )

    def training_step(self, batch, _):
        return self.model(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_it_is_on_while_training_and_off_after(monkeypatch, tmp_path):
    calls = []
    original = _DepthwiseConvolution.apply
    monkeypatch.setattr(_DepthwiseConvolution, "apply", lambda *args: calls.append(args) or original(*args))
    training = Training()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[FastLayers()],
    )
    trainer.fit(training, DataLoader(TensorDataset(torch.randn(4, 2, 6, 6)), batch_size=2))
    assert len(calls) == 2
    assert training.orders == [True, True, True]  # once to see that it runs in that order
    training.model(torch.randn(1, 2, 6, 6))
    assert len(calls) == 2
    assert training.orders == [True, True, True, False]
