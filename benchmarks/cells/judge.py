"""Judges of a cell: a network of it, trained alone from new weights, and then held-out images.

An earlier judge had two cells a stage and six epochs of 10,000 images: the cells that are quick to train led.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from scipy.stats import rankdata, spearmanr

from benchmarks.cells.flow import synaptic_flow
from search_spaces import NasBench201Space, from_arch_string
from trials.bench.searching import train_on
from trials.bench.settings import NasBench201Settings
from trials.data.types import TaskData

__all__ = ["DEEP", "EARLIER", "JUDGE", "SHALLOW", "Judge", "drawn_cells", "judged", "merits", "rank_correlation"]


@dataclass(frozen=True)
class Judge:
    """What is trained, and for how long.

    Attributes:
        cells_per_stage: of the network; the benchmark's have five.
        epochs: of the training, with a cosine learning rate.
        images: of an epoch.
        with_flow: whether the network's synaptic flow counts as much as its accuracy.
    """

    cells_per_stage: int
    epochs: int
    images: int
    with_flow: bool = False

    @property
    def in_words(self) -> str:
        """Its name in files and pages."""
        cells = "one cell" if self.cells_per_stage == 1 else f"{self.cells_per_stage} cells"
        epochs = "one epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"{cells} a stage, {epochs} of {self.images:,} images" + self.with_flow * ", and synaptic flow"


SHALLOW = Judge(1, 8, 40_000)
"""Tells how much a cell can learn."""
DEEP = Judge(5, 4, 5_000, with_flow=True)
"""The benchmark's depth, soon stopped: how easily a network of fifteen such cells trains; and how much it carries."""
JUDGE = SHALLOW.in_words
EARLIER = Judge(2, 6, 10_000).in_words
"""Of rankings that do not say so."""


class _TrainingLosses(Callback):
    """Keeps the mean training loss of each epoch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))


def judged(
    arch: str, data: TaskData, settings: NasBench201Settings, seed: int = 0, judge: Judge = SHALLOW
) -> dict[str, Any]:
    """Train the network of a cell.

    Returns:
        ``judge`` in words, ``held_out`` accuracy at the end, mean ``training_losses`` of each epoch (Ru et al., Speedy
        Performance Estimation for Neural Architecture Search, NeurIPS 2021, judge by their sum), the synaptic ``flow``
        if the judge counts it, and the ``seconds``.

    Args:
        arch: the benchmark's string.
        data: as many training images as the judge wants; ``validation`` judges.
        settings: batch and training.
        seed: of weights and batches.
        judge: what is trained.
    """
    torch.manual_seed(seed)
    start = time.monotonic()
    space = NasBench201Space(
        channels=settings.channels,
        cells_per_stage=judge.cells_per_stage,
        in_channels=data.input_shape[0],
        classes=data.classes,
        affine=settings.affine,
    )
    child: Any = space.freeze(from_arch_string(arch))
    search = replace(settings.search, epochs=judge.epochs, warmup_epochs=0, settle_epochs=0)
    losses = _TrainingLosses()
    accuracy = train_on(child, data, search, settings.training, judge.epochs, seed, [losses])
    flow = {"flow": synaptic_flow(arch, judge.cells_per_stage, settings, seed)} if judge.with_flow else {}
    found = {"judge": judge.in_words, "held_out": accuracy, "training_losses": losses.losses, **flow}
    return {**found, "seconds": time.monotonic() - start}


def merits(cells: Sequence[Mapping[str, Any]]) -> list[float]:
    """What a judge's judgments say of cells, one beside the other: the larger the better.

    The accuracy; where flow counts too, the sum of the ranks by both, so that no scale of theirs counts.

    Args:
        cells: as from :func:`judged`, all of one judge.
    """
    accuracies = [cell["held_out"] for cell in cells]
    if not all("flow" in cell for cell in cells):
        return accuracies
    ranks = zip(rankdata(accuracies), rankdata([cell["flow"] for cell in cells]), strict=True)
    return [float(first + second) for first, second in ranks]


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
