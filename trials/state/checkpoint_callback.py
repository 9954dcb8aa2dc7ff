"""When a run writes checkpoints: after each epoch, every so many steps, and when it is asked to stop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from snas_nni.errors import NotFiniteError
from snas_nni.one_shot.distributed import all_reduce_max
from trials.state.checkpoint_files import FOLDER, CheckpointError, checkpoint_name, remove_old
from trials.state.metrics_table import MetricsTable
from trials.state.signals import Stopping

__all__ = ["Checkpoints", "refuse_not_finite"]


class Checkpoints(Checkpoint):
    """Writes checkpoints, and metrics.csv with them; Lightning calls it after all other callbacks.

    Args:
        output: folder of the run.
        keep: how many of the newest checkpoints stay, at least 1.
        every_steps: a checkpoint within an epoch too, after so many batches; None for none.
        stopping: asked after each step whether to stop.

    Attributes:
        table: a row for each epoch.
        last_model_path: the newest checkpoint, where NNI looks for it.
        seconds_before: how long the run took up to the checkpoint that is resumed.
    """

    def __init__(
        self, output: Path, keep: int = 2, every_steps: int | None = None, stopping: Stopping | None = None
    ) -> None:
        self.output = output
        self.keep = keep
        self.every_steps = every_steps
        self.table = MetricsTable()
        self.last_model_path = ""
        self.seconds_before = 0.0
        self._saved_at = 0  # batches
        self._start = time.monotonic()
        self._stopping = stopping

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Bring metrics.csv to the state of the checkpoint that is resumed."""
        if trainer.is_global_zero and self.table.rows:
            self.table.write(self.output / "metrics.csv")
        self._saved_at = self._batches(trainer)
        if self._stopping is not None:
            self._stopping.training(True)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Forget what earlier epochs logged: Lightning keeps it, and the epoch's row would repeat it."""
        trainer.logged_metrics.clear()
        self._tell_loggers(trainer)  # what Lightning logs of an epoch comes after the checkpoint of its end

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """From here on, a signal stops at once."""
        if self._stopping is not None:
            self._stopping.training(False)
            self._stopping.raise_if_requested()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write a checkpoint within the epoch, if it is time or if the run shall stop.

        Raises:
            StoppedError: a signal asked for it.
        """
        accumulated = getattr(getattr(pl_module, "settings", None), "accumulate_batches", 1)
        if trainer.is_last_batch or (batch_idx + 1) % accumulated:
            return  # the epoch's end follows; gradients of half a step are in no checkpoint
        asked = self._asked(trainer)
        due = self.every_steps is not None and self._batches(trainer) - self._saved_at >= self.every_steps
        if asked or due:
            self._save(trainer, trainer.current_epoch, batch_idx + 1)
        if asked and self._stopping is not None:
            self._stopping.raise_if_requested()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the epoch's row and checkpoint. Lightning validates before this hook.

        Raises:
            StoppedError: a signal asked for it.
        """
        epoch = trainer.current_epoch
        if self.table.has(epoch):
            return  # a run that resumes at an epoch's end ends that epoch once more
        self.table.add(epoch, self._batches(trainer), trainer.logged_metrics)
        self._save(trainer, epoch + 1, 0)
        if trainer.is_global_zero:
            self.table.write(self.output / "metrics.csv")
        if self._asked(trainer) and self._stopping is not None:
            self._stopping.raise_if_requested()

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {**self.table.state_dict(), "seconds": self.seconds_before + time.monotonic() - self._start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what the checkpoint kept."""
        self.table.load_state_dict(state_dict)
        self.seconds_before = state_dict["seconds"]

    def _asked(self, trainer: Any) -> bool:
        """Whether any of the processes that train together got a signal: then all of them stop after one step."""
        if self._stopping is None:
            return False
        number = self._stopping.requested or 0
        if trainer.world_size > 1:
            number = all_reduce_max(number, trainer.strategy.root_device)
        if number:  # and no None otherwise: a signal may have come since, and waits for the next step of all
            self._stopping.requested = number
        return number > 0

    def _tell_loggers(self, trainer: Any) -> None:
        """Say that a checkpoint has all steps of which something was logged."""
        for logger in trainer.loggers:
            logger.after_save_checkpoint(self)

    @staticmethod
    def _batches(trainer: Any) -> int:
        return int(trainer.fit_loop.epoch_loop.batch_progress.total.ready)

    def _save(self, trainer: Any, epochs: int, batches: int) -> None:
        refuse_not_finite(trainer.lightning_module, trainer.current_epoch)
        if trainer.is_global_zero and not self.output.is_dir():  # and make no new one: somebody took it away
            raise CheckpointError(f"the folder {str(self.output)!r} is gone")
        path = self.output / FOLDER / checkpoint_name(epochs, batches)
        trainer.save_checkpoint(path)
        self._saved_at = self._batches(trainer)
        self._tell_loggers(trainer)
        if trainer.is_global_zero:
            remove_old(self.output, self.keep)
        self.last_model_path = str(path)


def refuse_not_finite(module: nn.Module, epoch: int) -> None:
    """Keep weights that are lost out of the checkpoints.

    Args:
        module: whose parameters are looked at.
        epoch: for the message, counted from 0.

    Raises:
        NotFiniteError: a parameter holds NaN or infinity.
    """
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise NotFiniteError(
                f"{name} is not finite in epoch {epoch + 1}. Try a lower training.learning_rate, a smaller "
                "search.weights_gradient_clip, or another precision."
            )
