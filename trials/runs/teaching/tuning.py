"""A child trained on by itself, with the data, the batches and the teacher of its search."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from snas_nni.derivation.recalibration import own_statistics
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

__all__ = ["statistics_lag", "tune"]

_OLD: Final = 0.05
"""Share that BatchNorm statistics of before may have in those after a training."""
_USUAL: Final = 0.1
"""PyTorch's momentum; layers that have it, or more, stay as they are."""
_BATCHES: Final = 20
"""Training batches that statistics are measured on."""


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

    BatchNorm statistics that could not follow the weights in so few steps are measured on training batches.

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
    loader = training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers)
    trainer.fit(module, loader)
    child.eval()
    if statistics_lag(child, epochs * len(loader)):
        _measure_statistics(child, loader)
    if not all(bool(tensor.isfinite().all()) for tensor in child.state_dict().values()):
        raise NotFiniteError(
            f"training the child by itself, at a learning rate of {rate:g}, gave weights that are not finite. Give a "
            "lower tuning.learning_rate; snas-nni derive FOLDER --tune-epochs N does it without another search."
        )


def statistics_lag(network: nn.Module, steps: int) -> bool:
    """Whether a training was too short for the momentum m of some BatchNorm statistics to follow the weights.

    Published networks have momenta of 0.01 and less, made for very many steps: after a hundred a third of the
    statistics, (1 - m)^steps, are still those of the weights that training began with. Layers with PyTorch's momentum,
    0.1, do not count.

    Args:
        network: that was trained.
        steps: of the training.
    """
    return any(
        isinstance(layer, _BatchNorm)
        and layer.momentum is not None
        and layer.momentum < _USUAL
        and (1 - layer.momentum) ** steps > _OLD
        for layer in network.modules()
    )


def _measure_statistics(network: nn.Module, loader: Iterable[Any]) -> None:
    device = next(network.parameters()).device
    with torch.no_grad():
        own_statistics(network.eval(), lambda batch: network(batch[0].to(device)), islice(loader, _BATCHES))
