"""How the weights of a child are retrained, and how new ones are drawn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trials.settings.retrain import RetrainTrainingSettings
from trials.tasks import Task
from trials.training.mixing import Mixing
from trials.training.task_training import TaskTraining

__all__ = ["RetrainTraining", "initialize_fan_out"]


class RetrainTraining(TaskTraining):
    """The learning rate rises in the first epochs, and falls along a cosine or by a factor, epoch by epoch.

    Args:
        task: what the child is trained for.
        settings: of the training.
        class_weights: in the training loss, shape ``(task.outputs,)``; None for equal ones.
    """

    def __init__(self, task: Task, settings: RetrainTrainingSettings, class_weights: Tensor | None = None) -> None:
        super().__init__(
            task,
            learning_rate=settings.learning_rate,
            learning_rate_floor=settings.learning_rate_floor,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            label_smoothing=settings.label_smoothing,
            auxiliary_weight=settings.auxiliary_weight,
            optimizer=settings.optimizer,
            optimizer_args=settings.optimizer_args,
            class_weights=class_weights,
        )
        self.settings = settings
        self.mixing: Mixing | None = None
        if settings.mixup or settings.cutmix:
            self.mixing = Mixing(task.outputs, settings.mixup, settings.cutmix)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule over the trainer's epochs."""
        configured, warmup = super().configure_optimizers(), self.settings.warmup_epochs
        optimizer, epochs = configured["optimizer"], max(1, self.trainer.max_epochs or 1)
        schedulers = torch.optim.lr_scheduler
        if self.settings.schedule == "exponential":
            schedule: Any = schedulers.ExponentialLR(optimizer, self.settings.learning_rate_decay)
        elif warmup:
            schedule = schedulers.CosineAnnealingLR(
                optimizer, T_max=max(1, epochs - warmup), eta_min=self.learning_rate_floor
            )
        else:
            return configured
        if warmup:
            rise = schedulers.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
            schedule = schedulers.SequentialLR(optimizer, [rise, schedule], milestones=[warmup])
        configured["lr_scheduler"]["scheduler"] = schedule
        return configured

    def _prepared(self, inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
        """Mix the images of a batch; the accuracy of the training is that of the first label of each pair."""
        return self.mixing(inputs, targets) if self.mixing is not None else (inputs, targets)


def initialize_fan_out(child: nn.Module) -> None:
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
