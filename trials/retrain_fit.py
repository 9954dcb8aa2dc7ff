"""The training itself: which callbacks and which kind of Lightning trainer a retraining has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from nni.nas.evaluator.pytorch import LightningModule
from pytorch_lightning import Callback

from trials.checkpoint_files import batches_done
from trials.checkpoints import Checkpoints
from trials.data import ClassificationData
from trials.drop_path import DropPath
from trials.epoch_seed import EpochSeed
from trials.fast_layers import FastLayers
from trials.lightning_setup import make_trainer
from trials.loaders import evaluation_loader, training_loader
from trials.retrain_settings import RetrainSettings

__all__ = ["fit"]


def fit(
    module: LightningModule,
    data: ClassificationData,
    settings: RetrainSettings,
    output: Path,
    callbacks: list[Callback],
    checkpoint: Path | None,
) -> Any:
    """Train and validate for the settings' number of epochs; return the trainer.

    Args:
        module: with its model.
        data: the splits.
        settings: of the run.
        output: folder of logs and checkpoints.
        callbacks: beside those that seed, drop paths and write checkpoints.
        checkpoint: to go on from; None to begin.

    Raises:
        SettingError: this machine has no such accelerator or number of devices, or cannot do that precision.
    """
    all_callbacks = [
        EpochSeed(settings.seed),
        FastLayers(),
        DropPath(settings.training.drop_path),
        *callbacks,
        Checkpoints(output),
    ]
    from_step = batches_done(checkpoint)

    def make(strategy: str) -> Any:
        return make_trainer(
            lightning.Trainer,
            settings,
            output,
            from_step,
            all_callbacks,
            max_epochs=settings.training.epochs,
            gradient_clip_val=settings.training.gradient_clip,
            strategy=strategy,
        )

    trainer = make("auto")
    if trainer.world_size > 1:
        # A child may have weights that nothing reads, such as those of a cell's input that no edge uses.
        trainer = make("ddp_find_unused_parameters_true")
    trainer.fit(
        module,
        training_loader(data, settings.training.batch_size, settings.seed, settings.data.workers),
        evaluation_loader(data, data.validation, settings.data.workers),
        ckpt_path=checkpoint,
    )
    return trainer
