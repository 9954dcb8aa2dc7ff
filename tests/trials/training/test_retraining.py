"""The schedules of a retraining in closed form, and what may not be mixed."""

import math

import pytest
import torch
from torch import nn

from snas_nni.errors import SettingError
from trials.data.types import ClassificationData, LabelledTensors
from trials.settings.retrain import RetrainTrainingSettings
from trials.training.modules import retraining_module


class Trainer:
    """As much of Lightning's as configuring an optimizer asks for."""

    def __init__(self, epochs):
        self.max_epochs = epochs


def data(shape):
    split = LabelledTensors(torch.zeros(4, *shape), torch.arange(4) % 2)
    return ClassificationData(split, split, split, ("left", "right"))


def rates(epochs, **given):
    module = retraining_module(data((2,)), RetrainTrainingSettings(epochs=epochs, learning_rate=0.4, **given))
    module.set_model(nn.Linear(2, 2))
    module._trainer = Trainer(epochs)
    configured = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def cosine(epoch, epochs, floor=0.1):
    return floor + (0.4 - floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def test_the_learning_rate_rises_before_its_cosine():
    found = rates(7, warmup_epochs=3, learning_rate_floor=0.1)
    assert found == pytest.approx([0.1, 0.2, 0.3, *(cosine(epoch, 4) for epoch in range(4))])


def test_and_before_its_exponential():
    found = rates(5, warmup_epochs=1, schedule="exponential", learning_rate_decay=0.5)
    assert found == pytest.approx([0.2, 0.4, 0.2, 0.1, 0.05])


def test_without_warming_up_it_is_as_it_was():
    assert rates(4, learning_rate_floor=0.1) == pytest.approx([cosine(epoch, 4) for epoch in range(4)])


def test_only_images_are_mixed():
    with pytest.raises(SettingError, match=r"training.mixup and training.cutmix mix images"):
        retraining_module(data((2,)), RetrainTrainingSettings(mixup=0.2))
    module = retraining_module(data((1, 4, 4)), RetrainTrainingSettings(mixup=0.2, cutmix=1.0))
    images, shares = module._prepared(torch.rand(4, 1, 4, 4), torch.arange(4) % 2)
    assert (images.shape, shares.shape) == ((4, 1, 4, 4), (4, 2))


def test_warming_up_leaves_an_epoch():
    with pytest.raises(SettingError, match=r"training.warmup_epochs"):
        RetrainTrainingSettings(epochs=5, warmup_epochs=5)
