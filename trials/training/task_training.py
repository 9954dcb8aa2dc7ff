"""How the weights of a network are trained for a task: a Lightning module that NNI's strategies accept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import nni
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor, nn

from snas_nni.errors import SettingError
from trials.state.user_errors import place_of
from trials.tasks import Task
from trials.training.distillation import Distillation
from trials.training.optimizers import make_optimizer

__all__ = ["TaskTraining"]


@nni.trace
class TaskTraining(LightningModule):
    """A task's loss, an optimizer, and a learning rate that falls along a cosine, epoch by epoch.

    The model maps inputs to outputs of the shape that the task asks for, or to a pair of outputs and an auxiliary
    head's outputs; the second counts in the training loss only. Logs ``loss`` and the task's metric under ``train_``,
    ``val_`` and ``test_`` once an epoch.

    A search strategy wraps this module and redirects ``self.log`` and ``self.trainer`` only.

    Args:
        task: what the network is trained for.
        learning_rate: of the first epoch.
        learning_rate_floor: approached in the last epoch.
        momentum: of SGD.
        weight_decay: of the optimizer.
        label_smoothing: in the training loss.
        auxiliary_weight: of the auxiliary outputs in the training loss.
        optimizer: name in ``torch.optim``, or dotted path of a class.
        optimizer_args: further arguments of it.
        class_weights: in the training loss, shape ``(task.outputs,)``; None for equal ones.
    """

    def __init__(
        self,
        task: Task,
        learning_rate: float = 0.025,
        learning_rate_floor: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.4,
        optimizer: str = "SGD",
        optimizer_args: Mapping[str, Any] | None = None,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.learning_rate = learning_rate
        self.learning_rate_floor = learning_rate_floor
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight
        self.optimizer = optimizer
        self.optimizer_args = dict(optimizer_args or {})
        self.register_buffer("class_weights", class_weights, persistent=False)
        # A number for each batch where the metric is a mean of them: a strategy may run one step under two names.
        accumulated = not _is_mean(task)
        self.metrics = nn.ModuleDict({f"of_{stage}": task.new_metric() for stage in _STAGES if accumulated})
        self.distillation: Distillation | None = None
        """A teacher, whose outputs count in the training loss."""
        self.logs = True
        """False where nobody reads what is logged; with small networks logging is a third of a step."""

    def forward(self, inputs: Any) -> Any:
        """Run the model on a batch of inputs."""
        return self.model(inputs)

    def training_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> Tensor:
        """Return the training loss of a batch, a scalar."""
        given, targets = batch
        inputs, wanted = self._prepared(given, targets)
        with nullcontext({}) if self.distillation is None else self.distillation.watching(self.model) as features:
            outputs, auxiliary = self._outputs(inputs)
        self._check(inputs, outputs, targets)
        loss = self._loss(outputs, wanted)
        self._log("train", outputs, targets, loss)
        if self.distillation is not None:
            loss = self.distillation(loss, inputs, outputs, features)
        if auxiliary is not None:
            loss = loss + self.auxiliary_weight * self._loss(auxiliary, wanted)
        return loss

    def validation_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> None:
        """Log metric and loss of a held-out batch."""
        self._evaluate("val", batch)

    def test_step(self, batch: tuple[Any, Tensor], batch_idx: int) -> None:
        """Log metric and loss of a test batch."""
        self._evaluate("test", batch)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its cosine over the trainer's epochs."""
        optimizer = make_optimizer(
            self.optimizer, self.parameters(), self.learning_rate, self.momentum, self.weight_decay, self.optimizer_args
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=max(1, self.trainer.max_epochs or 1), eta_min=self.learning_rate_floor
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _prepared(self, inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
        """What a training step runs on, and what its loss compares with: the batch as it is."""
        return inputs, targets

    def _outputs(self, inputs: Any) -> tuple[Tensor, Tensor | None]:
        found = self(inputs)
        outputs, auxiliary = found if isinstance(found, tuple) else (found, None)
        return self.task.as_given(outputs), None if auxiliary is None else self.task.as_given(auxiliary)

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.task.loss(outputs, targets, self.class_weights, self.label_smoothing)

    def _check(self, inputs: Any, outputs: Tensor, targets: Tensor) -> None:
        wanted = self.task.shape(targets)
        if outputs.shape == wanted:
            return
        sides = f"inputs of shape {tuple(inputs.shape[1:])}" if isinstance(inputs, Tensor) else "inputs"
        raise SettingError(
            f"the network gives outputs of shape {tuple(outputs.shape)} for {len(targets)} {sides}, but the data has "
            f"{self.task.count_in_words}, so {wanted} is needed: give the last layer of "
            f"{place_of(type(self.model))} {self.task.outputs} outputs. An argument 'classes' or 'num_classes' of its "
            "constructor is filled in from the data"
        )

    def _evaluate(self, stage: str, batch: tuple[Any, Tensor]) -> None:
        inputs, targets = batch
        outputs, _ = self._outputs(inputs)
        self._log(stage, outputs, targets, self.task.loss(outputs, targets))

    def _log(self, stage: str, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        if not self.logs:
            return
        # On several devices each has its part of the training examples, and all of the others.
        common = {"on_step": False, "on_epoch": True, "sync_dist": stage == "train"}
        name = f"{stage}_{self.task.metric.logged.removeprefix('val_')}"
        if self.metrics:
            metric: Any = self.metrics[f"of_{stage}"]
            metric.update(outputs.detach(), targets)
            self.log(name, metric, on_step=False, on_epoch=True)
        else:
            value, count = self.task.batch_value(outputs.detach(), targets) or (loss, 0)
            self.log(name, value, batch_size=count, **common)
        self.log(f"{stage}_loss", loss.detach(), batch_size=len(targets), **common)


_STAGES = ("train", "val", "test")


def _is_mean(task: Task) -> bool:
    """Whether the metric of all batches is the mean of each one's."""
    return type(task).batch_value is not Task.batch_value
