"""The judge of a cell: trained alone from new weights, on four times a search's images, and then held-out ones.

An earlier judge had two cells a stage and six epochs of 10,000 images: the cells that are quick to train led.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from scipy.stats import spearmanr

from search_spaces import NasBench201Space, from_arch_string
from trials.bench.searching import train_on
from trials.bench.settings import NasBench201Settings
from trials.data.types import TaskData

__all__ = ["EARLIER", "IMAGES", "JUDGE", "drawn_cells", "judged", "rank_correlation"]

CELLS_PER_STAGE = 1
EPOCHS = 8
IMAGES = 40_000


def _in_words(cells: int, epochs: int, images: int) -> str:
    return f"{'one cell' if cells == 1 else f'{cells} cells'} a stage, {epochs} epochs of {images:,} images"


JUDGE = _in_words(CELLS_PER_STAGE, EPOCHS, IMAGES)
EARLIER = _in_words(2, 6, 10_000)
"""Of rankings that do not say so."""


class _TrainingLosses(Callback):
    """Keeps the mean training loss of each epoch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))


def judged(arch: str, data: TaskData, settings: NasBench201Settings, seed: int = 0) -> dict[str, Any]:
    """Train the network of a cell.

    Returns:
        ``judge`` in words, ``held_out`` accuracy at the end, mean ``training_losses`` of each epoch (Ru et al., Speedy
        Performance Estimation for Neural Architecture Search, NeurIPS 2021, judge by their sum), and the ``seconds``.

    Args:
        arch: the benchmark's string.
        data: :data:`IMAGES` training images; ``validation`` judges.
        settings: batch and training.
        seed: of weights and batches.
    """
    torch.manual_seed(seed)
    start = time.monotonic()
    space = NasBench201Space(
        channels=settings.channels,
        cells_per_stage=CELLS_PER_STAGE,
        in_channels=data.input_shape[0],
        classes=data.classes,
        affine=settings.affine,
    )
    child: Any = space.freeze(from_arch_string(arch))
    search = replace(settings.search, epochs=EPOCHS, warmup_epochs=0, settle_epochs=0)
    losses = _TrainingLosses()
    accuracy = train_on(child, data, search, settings.training, EPOCHS, seed, [losses])
    return {"judge": JUDGE, "held_out": accuracy, "training_losses": losses.losses, "seconds": time.monotonic() - start}


def drawn_cells(count: int, table: Mapping[str, float], above: float, seed: int = 0) -> list[str]:
    """Cells to show the judge on, drawn from those of the table that reach something: bad ones are easy to tell.

    Args:
        count: how many.
        table: accuracy by cell.
        above: percent.
        seed: of the draw.
    """
    good = sorted(arch for arch, accuracy in table.items() if accuracy >= above)
    order = torch.randperm(len(good), generator=torch.Generator().manual_seed(seed)).tolist()
    return [good[index] for index in order[:count]]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's."""
    return float(spearmanr(first, second).statistic)
