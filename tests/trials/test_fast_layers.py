"""A retraining quickens its layers for its own time only."""

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snas_nni.depthwise import _DepthwiseConvolution
from trials.fast_layers import FastLayers


class Network(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 5, padding=2, groups=2)

    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_it_is_on_while_training_and_off_after(monkeypatch, tmp_path):
    calls = []
    original = _DepthwiseConvolution.apply
    monkeypatch.setattr(_DepthwiseConvolution, "apply", lambda *args: calls.append(args) or original(*args))
    network = Network()
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
    trainer.fit(network, DataLoader(TensorDataset(torch.randn(4, 2, 6, 6)), batch_size=2))
    assert len(calls) == 2
    network.layer(torch.randn(1, 2, 6, 6))
    assert len(calls) == 2
