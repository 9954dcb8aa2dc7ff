"""The average of the weights: its closed form, and that it is what a training ends with."""

import pytest
import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from trials.training.averaging import AveragedWeights, averaging_decay
from trials.training.callbacks import BestWeights

INPUTS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))


class Counting(lightning.LightningModule):
    """Its weight is the number of steps; what validation sees of it is logged as accuracy."""

    def __init__(self):
        super().__init__()
        self.model = nn.BatchNorm1d(3)
        with torch.no_grad():
            self.model.weight.zero_()
        self.seen = []

    def training_step(self, batch, index):
        return (self.model(batch[0]).sum() * 0) - self.model.weight[0]

    def validation_step(self, batch, index):
        self.seen.append(float(self.model.weight.detach()[0]))
        self.log("val_acc", self.model.weight.detach()[0], batch_size=len(batch[0]))

    def configure_optimizers(self):
        return torch.optim.SGD([self.model.weight], lr=1.0)


def expected(decay, steps):
    average = 1.0  # of the first step
    for step in range(1, steps):
        share = averaging_decay(decay, step)
        average = share * average + (1 - share) * (step + 1)
    return average


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_validation_and_the_best_weights_are_of_the_average(decay):
    loader = DataLoader(TensorDataset(INPUTS), batch_size=3)
    best, module = BestWeights(lambda *_: None), Counting()
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[best, AveragedWeights(decay)],
    )
    trainer.fit(module, loader, DataLoader(TensorDataset(INPUTS), batch_size=12))
    assert module.seen == pytest.approx([expected(decay, 4), expected(decay, 8)])
    assert float(best.weights["weight"][0]) == pytest.approx(expected(decay, 8))
    assert float(module.model.weight.detach()[0]) == pytest.approx(expected(decay, 8))
    assert int(best.weights["num_batches_tracked"]) == 8


def test_the_decay_grows_to_what_was_given():
    assert averaging_decay(0.999, 1) == pytest.approx(2 / 11)
    assert averaging_decay(0.999, 10**6) == 0.999
