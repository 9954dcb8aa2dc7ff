"""The training itself: which callbacks and which kind of Lightning trainer a retraining has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from nni.nas.evaluator.pytorch import LightningModule
from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from snas_nni.errors import SettingError
from trials.checkpoint_files import batches_done
from trials.checkpoint_io import SafeCheckpointIO
from trials.checkpoints import Checkpoints
from trials.data import ClassificationData
from trials.drop_path import DropPath
from trials.epoch_seed import EpochSeed
from trials.fast_depthwise import FastDepthwise
from trials.lightning_setup import tensorboard
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
    trainer = _make_trainer(
        settings,
        output,
        [
            EpochSeed(settings.seed),
            FastDepthwise(),
            DropPath(settings.training.drop_path),
            *callbacks,
            Checkpoints(output),
        ],
        batches_done(checkpoint),
    )
    trainer.fit(
        module,
        training_loader(data, settings.training.batch_size, settings.seed, settings.data.workers),
        evaluation_loader(data, data.validation, settings.data.workers),
        ckpt_path=checkpoint,
    )
    return trainer


def _make_trainer(settings: RetrainSettings, output: Path, callbacks: list[Callback], from_step: int) -> Any:
    def make(strategy: str) -> Any:
        return lightning.Trainer(
            max_epochs=settings.training.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=strategy,
            precision=settings.precision,
            gradient_clip_val=settings.training.gradient_clip,
            default_root_dir=str(output),
            logger=tensorboard(output, from_step),
            plugins=[SafeCheckpointIO()],
            callbacks=callbacks,
            use_distributed_sampler=False,  # the loader's sampler takes its share itself
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )

    try:
        trainer = make("auto")
        # A child may have weights that nothing reads, such as those of a cell's input that no edge uses.
        return make("ddp_find_unused_parameters_true") if trainer.world_size > 1 else trainer
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
        raise SettingError(f"accelerator, devices or precision: {' '.join(str(error).split())}") from error
