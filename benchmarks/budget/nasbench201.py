"""Searches with a budget of MACs in the space of NAS-Bench-201, whose table knows what every cell reaches.

The images, the network and the search are those of ``snas-nni bench nasbench201``; the budget is all that is added.
The budgets of a seed share their warm-up, in which the logits are frozen, so that no budget matters in it. Nothing of
the table reaches a search: cells are looked up when all of them are found.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Callback

from search_spaces import NasBench201Space, from_arch_string, to_arch_string
from snas_nni import SNAS, Budget
from snas_nni.cost_model import CostModel
from trials.bench.lookup import read_table
from trials.bench.settings import NasBench201Settings
from trials.bench.subset import load_part
from trials.data import TaskData
from trials.data.loaders import evaluation_loader, input_example, training_loader
from trials.progress import Progress
from trials.runs.components import strategy_arguments
from trials.training.modules import training_module
from trials.training.trainer import SILENT, quieten_libraries

__all__ = ["FRACTIONS", "regret", "search"]

FRACTIONS = (0.2, 0.4, 0.6, 0.8)
"""Where the budgets lie in the range of MACs, from the cheapest cell to the dearest."""


@cache
def _prepared(images: Path) -> tuple[NasBench201Settings, TaskData, CostModel]:
    settings = NasBench201Settings()
    settings = replace(settings, data=replace(settings.data, path=str(images)))
    data = load_part(settings, Progress(quiet=True))
    strategy = SNAS(seed=0)
    strategy.mutate_model(_space(settings))
    return settings, data, strategy.cost_model(input_example(data).batch())


def _space(settings: NasBench201Settings) -> NasBench201Space:
    return NasBench201Space(channels=settings.channels, cells_per_stage=settings.cells_per_stage)


def _budget(model: CostModel, fraction: float) -> float:
    cheapest, dearest = (model.of(from_arch_string(_cell(name)))["macs"] for name in ("none", "nor_conv_3x3"))
    return cheapest + fraction * (dearest - cheapest)


def _cell(operation: str) -> str:
    return "+".join("|" + "|".join(f"{operation}~{edge}" for edge in range(node)) + "|" for node in (1, 2, 3))


class _KeepWarmUp(Callback):
    """Writes a checkpoint after the warm-up, and ends the search there."""

    def __init__(self, path: Path, epochs: int) -> None:
        self._path, self._epochs = path, epochs

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Write it."""
        if trainer.current_epoch + 1 == self._epochs:
            trainer.save_checkpoint(self._path)
            trainer.should_stop = True


def _run(strategy: SNAS, images: Path, seed: int, callbacks: list[Callback], checkpoint: Path | None) -> Any:
    settings, data, _ = _prepared(images)
    epochs = settings.search.epochs
    lightning.seed_everything(seed, workers=True, verbose=False)
    evaluator: Any = Lightning(
        training_module(data, settings.training),
        Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,
            check_val_every_n_epoch=epochs,  # held-out images are looked at when children are compared, and at the end
            **SILENT,
        ),
        train_dataloaders=training_loader(data, settings.search.batch_size, seed),
        val_dataloaders=evaluation_loader(data, data.validation),
        fit_kwargs={"ckpt_path": checkpoint, "weights_only": True} if checkpoint else {},
    )
    strategy(RawFormatModelSpace.from_model(_space(settings), evaluator), SequentialExecutionEngine())
    return evaluator


def _warmed_up(images: Path, seed: int, folder: Path) -> Path:
    """A checkpoint from the end of the warm-up, as a search with a budget takes it."""
    path = folder / f"warm-up-{seed}.ckpt"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        settings = _prepared(images)[0].search
        new = folder / f"new-{seed}.ckpt"
        strategy = SNAS(**strategy_arguments(settings), seed=seed)
        _run(strategy, images, seed, [_KeepWarmUp(new, settings.warmup_epochs)], None)
        state = torch.load(new, weights_only=True)
        state["snas"]["regularizers"] = [None]  # the budget's, which begins now
        torch.save(state, path)
        new.unlink()
    return path


def search(images: Path, fraction: float, seed: int, folder: Path) -> dict[str, Any]:
    """Search with a budget; say which cell was found.

    Args:
        images: folder with ``train`` and ``test``, a folder for each class in both.
        fraction: of the range of MACs.
        seed: of everything.
        folder: keeps the warm-up of a seed.

    Returns:
        ``arch`` (the benchmark's string), ``macs`` of the search's network, its ``bound``, ``held_out`` accuracy of
        the child that the search trained, and ``seconds`` of processor time after the warm-up.
    """
    quieten_libraries()
    settings, data, model = _prepared(images)
    bound = _budget(model, fraction)
    warm = _warmed_up(images, seed, folder)
    strategy = SNAS(
        **strategy_arguments(settings.search),
        seed=seed,
        budget=Budget(macs=bound),
        example_input=input_example(data).batch(),
    )
    start = time.process_time()
    evaluator = _run(strategy, images, seed, [], warm)
    sample = strategy.chosen_sample()
    return {
        "arch": to_arch_string(sample),
        "bound": bound,
        "macs": model.of(sample)["macs"],
        "held_out": float(evaluator.trainer.callback_metrics["val_acc"]),
        "seconds": round(time.process_time() - start, 1),
    }


def regret(images: Path, table: Path, row: dict[str, Any]) -> dict[str, float]:
    """What the table says of a row of :func:`search`, in percent.

    Returns:
        ``test`` accuracy of the cell, ``best`` of all cells within the bound, and their ``mean``.
    """
    accuracies, (_, _, model) = read_table(table), _prepared(images)
    within = [arch for arch in accuracies if model.of(from_arch_string(arch))["macs"] <= row["bound"]]
    reached = [accuracies[arch] for arch in within]
    return {"test": accuracies[row["arch"]], "best": max(reached), "mean": round(statistics.mean(reached), 2)}
