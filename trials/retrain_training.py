"""How a child is retrained: the classifier's training with a choice of schedule, and initial weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trials.retrain_settings import RetrainTrainingSettings
from trials.training import ClassificationTraining

__all__ = ["RetrainTraining", "initialise_fan_out"]


class RetrainTraining(ClassificationTraining):
    """SGD with momentum; the learning rate falls epoch by epoch, along a cosine or by a factor.

    Args:
        classes: how many there are, at least 1.
        settings: of the training.
    """

    def __init__(self, classes: int, settings: RetrainTrainingSettings) -> None:
        super().__init__(
            classes=classes,
            learning_rate=settings.learning_rate,
            learning_rate_floor=settings.learning_rate_floor,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            label_smoothing=settings.label_smoothing,
            auxiliary_weight=settings.auxiliary_weight,
        )
        self.schedule = settings.schedule
        self.learning_rate_decay = settings.learning_rate_decay

    def configure_optimizers(self) -> Any:
        """Return SGD and its schedule over the trainer's epochs."""
        configured = super().configure_optimizers()
        if self.schedule == "exponential":
            configured["lr_scheduler"]["scheduler"] = torch.optim.lr_scheduler.ExponentialLR(
                configured["optimizer"], self.learning_rate_decay
            )
        return configured


def initialise_fan_out(child: nn.Module) -> None:
    """Draw new weights as SNAS does for ImageNet, in place.

    Convolutions are normal by fan-out, linear layers uniform by fan-in, BatchNorm layers the identity.
    """
    for module in child.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            continue
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
