"""A child trained on by itself, with the data, the batches and the teacher of its search."""

from __future__ import annotations

import pytorch_lightning as lightning
from torch import nn

from snas_nni.errors import NotFiniteError
from trials.data.loaders import training_loader
from trials.data.types import TaskData
from trials.runs.teaching.checks import check_features
from trials.settings.search import RunSettings
from trials.training.callbacks import FastLayers
from trials.training.distillation import Distillation
from trials.training.modules import training_module
from trials.training.task_training import TaskTraining
from trials.training.trainer import SILENT

__all__ = ["tune"]


def tune(
    child: nn.Module,
    data: TaskData,
    settings: RunSettings,
    epochs: int,
    distillation: Distillation | None = None,
    accelerator: str = "cpu",
    *,
    share: float = 0.2,
) -> None:
    """Train a child, in place; its weights are those of the last epoch.

    Args:
        child: with the weights to begin with; afterwards in evaluation mode.
        data: the splits.
        settings: of the search: its batches and training. ``tuning.learning_rate``, or a share of the search's.
        epochs: at least 1.
        distillation: the teacher; None for none.
        accelerator: Lightning's.
        share: of the search's learning rate that training begins with, in (0, 1], where the settings give none.

    Raises:
        SettingError: the child cannot learn the features of the teacher that the settings name.
        NotFiniteError: its weights are not finite afterwards.
    """
    rate = settings.tuning.learning_rate or max(settings.training.learning_rate * share, 1e-6)
    floor = min(settings.training.learning_rate_floor, rate)
    changed = {"learning_rate": rate, "learning_rate_floor": floor}
    check_features(distillation, child, data, "the child")
    module = training_module(data, settings.training, distillation, changed)
    module.set_model(child.train())
    if isinstance(module, TaskTraining):
        module.logs = False
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator=accelerator,
        devices=1,
        gradient_clip_val=settings.search.weights_gradient_clip,
        logger=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        callbacks=[FastLayers()],
        **SILENT,
    )
    trainer.fit(module, training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers))
    child.eval()
    if not all(bool(tensor.isfinite().all()) for tensor in child.state_dict().values()):
        raise NotFiniteError(
            f"training the child by itself, at a learning rate of {rate:g}, gave weights that are not finite. Give a "
            "lower tuning.learning_rate; snas-nni derive FOLDER --tune-epochs N does it without another search."
        )
