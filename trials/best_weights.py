"""The weights of the best epoch, kept through interruptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning import Callback
from torch import Tensor

from snas_nni.errors import SnasError

__all__ = ["BestWeights"]

Save = Callable[[Mapping[str, Tensor], int, float], None]


class BestWeights(Callback):
    """Keeps the child's weights of the epoch with the highest validation accuracy; the lower loss breaks a tie.

    They are part of the checkpoint, so that a resumed run can still end with weights from before the cut.

    Args:
        save: called with the ``state_dict``, the epoch counted from 1 and the accuracy in [0, 1] whenever there
            are better ones, so that a run that is cut off leaves the best so far.

    Attributes:
        weights: the ``state_dict``, on the CPU; empty before the first epoch ended.
        epoch: counted from 1.
        accuracy: in [0, 1].
        loss: mean cross-entropy in nats.
    """

    def __init__(self, save: Save) -> None:
        self._save = save
        self.weights: dict[str, Tensor] = {}
        self.epoch = 0
        self.accuracy = -math.inf
        self.loss = math.inf

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Write the best of the run that is resumed to this run's folder."""
        if self.weights and trainer.is_global_zero:
            self._save(self.weights, self.epoch, self.accuracy)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Compare. Lightning validates before this hook, so the metrics are the epoch's own.

        Raises:
            SnasError: the training loss is not finite.
        """
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(metrics.get("train_loss", 0.0)):
            raise SnasError(
                f"the training loss of epoch {trainer.current_epoch + 1} is {metrics['train_loss']}: lower "
                "training.learning_rate, or use another precision"
            )
        accuracy, loss = metrics["val_acc"], metrics["val_loss"]
        if (accuracy, -loss) <= (self.accuracy, -self.loss):
            return
        self.accuracy, self.loss, self.epoch = accuracy, loss, trainer.current_epoch + 1
        self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.model.state_dict().items()}
        if trainer.is_global_zero:
            self._save(self.weights, self.epoch, self.accuracy)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"weights": self.weights, "epoch": self.epoch, "accuracy": self.accuracy, "loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what the checkpoint kept."""
        self.weights = dict(state_dict["weights"])
        self.epoch, self.accuracy, self.loss = (state_dict[name] for name in ("epoch", "accuracy", "loss"))
