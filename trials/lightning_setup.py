"""What every run asks of Lightning: logs, a checkpoint after each epoch, and no hints nobody can act on."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from trials.results import LAST_CHECKPOINT

__all__ = ["checkpoint_each_epoch", "loggers", "quieten_libraries"]


def loggers(output: Path) -> list[Any]:
    """Return loggers that write metrics.csv, and TensorBoard's files where it is installed."""
    found: list[Any] = [CSVLogger(save_dir=output, name="", version="")]
    with contextlib.suppress(ModuleNotFoundError):  # an optional extra; CSV has the same numbers
        found.append(TensorBoardLogger(save_dir=output, name="", version="tensorboard"))
    return found


def checkpoint_each_epoch(output: Path) -> ModelCheckpoint:
    """Return the callback that writes ``LAST_CHECKPOINT`` after each epoch."""
    # Not save_last with save_top_k=0, which Lightning 2.6 takes to mean the end of the run only.
    return ModelCheckpoint(
        dirpath=output / LAST_CHECKPOINT.parent,
        filename=LAST_CHECKPOINT.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def quieten_libraries() -> None:
    """Keep hints that a user of this command cannot act on out of the output; errors stay."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # NNI logs that a search failed, which the exception then says with the reason.
    logging.getLogger("nni").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="nni")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
