"""A retraining quickens its layers, and orders its images, for its own time only."""

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snas_nni.cpu_kernels.depthwise import _DepthwiseConvolution
from trials.fast_layers import FastLayers


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
    assert training.orders == [True, True]
    training.model(torch.randn(1, 2, 6, 6))
    assert len(calls) == 2
    assert training.orders == [True, True, False]
