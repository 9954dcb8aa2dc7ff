"""How the weights of a classifier are trained: a Lightning module that NNI's strategies accept."""

from __future__ import annotations

from typing import Any

import nni
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy

from snas_nni.errors import SettingError
from trials.settings.retrain import RetrainTrainingSettings
from trials.state.user_errors import place_of
from trials.training.distillation import Distillation

__all__ = ["ClassificationTraining", "RetrainTraining", "initialize_fan_out"]


@nni.trace
class ClassificationTraining(LightningModule):
    """SGD with momentum, and a learning rate that falls along a cosine, epoch by epoch.

    The model maps inputs to logits, shape ``(B, classes)``, or to a pair of logits and an auxiliary head's
    logits; the second counts in the training loss only. Logs ``train_``, ``val_`` and ``test_`` ``acc`` (a
    share in [0, 1]) and ``loss`` (mean cross-entropy in nats) once an epoch.

    A search strategy wraps this module and redirects ``self.log`` and ``self.trainer`` only.

    Args:
        classes: how many there are, at least 1.
        learning_rate: of the first epoch.
        learning_rate_floor: approached in the last epoch.
        momentum: of SGD.
        weight_decay: of SGD.
        label_smoothing: in the training loss.
        auxiliary_weight: of the auxiliary logits in the training loss.
    """

    def __init__(
        self,
        classes: int,
        learning_rate: float = 0.025,
        learning_rate_floor: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.4,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.learning_rate = learning_rate
        self.learning_rate_floor = learning_rate_floor
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight
        self.distillation: Distillation | None = None
        """A teacher, whose outputs count in the training loss."""

    def forward(self, inputs: Tensor) -> Any:
        """Run the model on a batch of inputs."""
        return self.model(inputs)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the training loss of a batch, a scalar."""
        inputs, labels = batch
        logits, auxiliary = _logits_and_auxiliary(self(inputs))
        self._check(inputs, logits)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self._log("train", logits, labels, loss)
        if self.distillation is not None:
            loss = self.distillation(loss, inputs, logits)
        if auxiliary is not None:
            loss = loss + self.auxiliary_weight * functional.cross_entropy(
                auxiliary, labels, label_smoothing=self.label_smoothing
            )
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log accuracy and loss of a held-out batch."""
        self._evaluate("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log accuracy and loss of a test batch."""
        self._evaluate("test", batch)

    def configure_optimizers(self) -> Any:
        """Return SGD and its cosine over the trainer's epochs."""
        optimizer = torch.optim.SGD(
            self.parameters(), lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=max(1, self.trainer.max_epochs or 1), eta_min=self.learning_rate_floor
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _check(self, inputs: Tensor, logits: Tensor) -> None:
        if logits.shape == (len(inputs), self.classes):
            return
        raise SettingError(
            f"the network gives outputs of shape {tuple(logits.shape)} for {len(inputs)} inputs of shape "
            f"{tuple(inputs.shape[1:])}, but the data has {self.classes} classes, so ({len(inputs)}, {self.classes}) "
            f"is needed: give the last layer of {place_of(type(self.model))} {self.classes} outputs. An argument "
            "'classes' or 'num_classes' of its constructor is filled in from the data"
        )

    def _evaluate(self, stage: str, batch: tuple[Tensor, Tensor]) -> None:
        inputs, labels = batch
        logits, _ = _logits_and_auxiliary(self(inputs))
        self._log(stage, logits, labels, functional.cross_entropy(logits, labels))

    def _log(self, stage: str, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        # Numbers, not a metric object: a strategy may run one step twice under two names.
        accuracy = multiclass_accuracy(logits.detach(), labels, num_classes=self.classes, average="micro")
        for name, value in (("acc", accuracy), ("loss", loss.detach())):
            # On several devices each has its part of the training examples, and all of the others.
            self.log(
                f"{stage}_{name}",
                value,
                on_step=False,
                on_epoch=True,
                batch_size=len(labels),
                sync_dist=stage == "train",
            )


def _logits_and_auxiliary(output: Any) -> tuple[Tensor, Tensor | None]:
    if isinstance(output, tuple):
        logits, auxiliary = output
        return logits, auxiliary
    return output, None


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
