"""What a search that goes on gets back: random states, metrics, the means of an epoch."""

import random
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import CatMetric
from torchmetrics.classification import MulticlassAccuracy

from snas_nni.one_shot.resume_state import (
    PartialMeans,
    metric_states,
    random_state,
    set_metric_states,
    set_random_state,
    undisturbed_metrics,
)


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.rand(()))]


def test_the_same_numbers_come_again(tmp_path: Path) -> None:
    draws()  # leaves a second normal number waiting in NumPy
    torch.save(random_state(), tmp_path / "state")
    expected = draws() + draws()
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert draws() + draws() == expected


def accuracy(labels: list[int]) -> MulticlassAccuracy:
    metric = MulticlassAccuracy(num_classes=2, average="micro")
    metric.update(torch.zeros(len(labels), dtype=torch.long), torch.tensor(labels))
    return metric


class TestMetricStates:
    def test_a_metric_goes_on_where_another_one_was(self, tmp_path: Path) -> None:
        first, second = nn.ModuleDict({"accuracy": accuracy([0, 0, 1])}), nn.ModuleDict({"accuracy": accuracy([1])})
        torch.save(metric_states(first), tmp_path / "metrics")
        set_metric_states(second, torch.load(tmp_path / "metrics", weights_only=True))
        assert float(second["accuracy"].compute()) == pytest.approx(2 / 3)
        second["accuracy"].update(torch.tensor([0]), torch.tensor([0]))
        assert float(second["accuracy"].compute()) == pytest.approx(3 / 4)  # no value from before is kept
        assert float(first["accuracy"].compute()) == pytest.approx(2 / 3)  # a copy, not the tensors themselves

    def test_states_that_are_lists(self) -> None:
        first, second = nn.ModuleDict({"numbers": CatMetric()}), nn.ModuleDict({"numbers": CatMetric()})
        first["numbers"].update(torch.tensor([1.0, 2.0]))
        set_metric_states(second, metric_states(first))
        first["numbers"].update(torch.tensor([3.0]))
        assert second["numbers"].compute().tolist() == [1.0, 2.0]

    def test_a_block_leaves_no_trace(self) -> None:
        module = nn.ModuleDict({"accuracy": accuracy([0, 0, 1])})
        with undisturbed_metrics(module):
            module["accuracy"].update(torch.tensor([0]), torch.tensor([1]))
            assert float(module["accuracy"].compute()) == 0.0  # of this block alone
        assert float(module["accuracy"].compute()) == pytest.approx(2 / 3)


class Logging(pl.LightningModule):
    """Logs known values: a mean over examples, a maximum and a sum, of the step's number."""

    def __init__(self, saved: dict | None = None, stop_after: int | None = None) -> None:
        super().__init__()
        self.layer, self.means = nn.Linear(1, 1), PartialMeans()
        self.means.load_state_dict(saved or {})
        self.stop_after, self.cut = stop_after, {}

    def training_step(self, batch, index):
        value = batch[0].mean()
        self.log("mean", value, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        self.log("largest", value, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("total", value, on_step=False, on_epoch=True, reduce_fx="sum")
        return self.layer(batch[0]).mean()

    def on_train_batch_end(self, outputs, batch, index):
        self.means.complete(self.trainer)
        if index == self.stop_after:
            self.cut = self.means.state_dict(self.trainer)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fitted(rows: torch.Tensor, **settings) -> tuple[Logging, dict[str, float]]:
    module = Logging(**settings)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(module, DataLoader(TensorDataset(rows), batch_size=2))
    return module, {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_an_epoch_in_two_parts_has_the_means_of_the_whole() -> None:
    """To the bit; the last batch is smaller, so that the mean over examples is not one over steps."""
    rows = torch.randn(9, 1, generator=torch.Generator().manual_seed(0))
    cut, whole = fitted(rows, stop_after=2)
    assert {name: float(sums["count"]) for name, sums in cut.cut.items() if "count" in sums} == {
        "training_step.mean": 6.0
    }
    _, rest = fitted(rows[6:])
    _, completed = fitted(rows[6:], saved=cut.cut)
    assert completed == whole
    assert rest != whole
