"""What every run asks of Lightning: TensorBoard logs, and no hints nobody can act on."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger

__all__ = ["quieten_libraries", "tensorboard"]


def tensorboard(output: Path, from_step: int = 0) -> Any:
    """Return Lightning's TensorBoard logger, or False where TensorBoard is not installed; metrics.csv has the same.

    Args:
        output: folder of the run.
        from_step: what an earlier part of the run wrote from this batch on is not shown: it comes again.
    """
    with contextlib.suppress(ModuleNotFoundError):  # an optional extra
        return TensorBoardLogger(save_dir=output, name="", version="tensorboard", purge_step=from_step or None)
    return False


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
