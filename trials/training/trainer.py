"""What every run asks of Lightning: its Trainer, and no hints nobody can act on."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from snas_nni.errors import SettingError
from trials.settings.run import BaseRunSettings
from trials.state.checkpoint_files import SafeCheckpointIO
from trials.state.output_folder import recorded_settings
from trials.training.loggers import loggers_of

__all__ = ["KEEPS_TYPES", "SILENT", "make_trainer", "quieten_libraries"]

KEEPS_TYPES: Final = ("32-true", "16-mixed", "bf16-mixed")
"""The precisions that leave the weights in the types that they are made in."""

SILENT: Final = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
"""Arguments of a Trainer whose progress this project shows itself."""


def make_trainer(
    kind: Callable[..., Any],
    settings: BaseRunSettings,
    output: Path,
    from_step: int,
    callbacks: list[Callback],
    **more: Any,
) -> Any:
    """Make the Trainer of a run.

    Args:
        kind: Lightning's class, or NNI's traced one.
        settings: of the run: devices and precision.
        output: folder of logs and checkpoints.
        from_step: batches that an earlier part of the run has done.
        callbacks: of the Trainer.
        more: its other arguments.

    Raises:
        SettingError: this machine has no such accelerator or number of devices, or cannot do that precision.
    """
    most, devices = max(16, os.cpu_count() or 1), str(settings.devices)
    on_cpu = settings.accelerator == "cpu" or (settings.accelerator == "auto" and not torch.cuda.is_available())
    if on_cpu and devices.isdecimal() and int(devices) > most:
        raise SettingError(
            f"devices is {devices[:20]}, but must be at most {most} here: on a CPU each is a process of its own"
        )
    try:
        return kind(
            accelerator=settings.accelerator,
            devices=settings.devices,
            precision=settings.precision,
            default_root_dir=str(output),
            logger=loggers_of(settings.logger, output, from_step, recorded_settings(settings)) or False,
            plugins=[SafeCheckpointIO()],
            callbacks=callbacks,
            use_distributed_sampler=False,  # the training loader's sampler takes its share itself
            log_every_n_steps=10,
            **SILENT,
            **more,
        )
    except SettingError:
        raise
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
        raise SettingError(f"accelerator, devices or precision: {' '.join(str(error).split())}") from error


def quieten_libraries() -> None:
    """Keep hints that a user of this command cannot act on out of the output; errors stay."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # NNI logs that a search failed, which the exception then says with the reason.
    logging.getLogger("nni").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="nni")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
