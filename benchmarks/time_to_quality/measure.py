"""One search, looked at after each epoch: what the child that would be handed over now reaches, off the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Callback

from snas_nni.cpu_kernels.memory_format import channels_last
from trials.bench.methods import Method, make_method
from trials.bench.recalibration import recalibrated
from trials.bench.searching import recalibration_batches
from trials.bench.subset import halves
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.types import TaskData
from trials.settings.search import SearchSettings, TrainingSettings
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.modules import training_module
from trials.training.trainer import SILENT

__all__ = ["Point", "curve"]

Point = dict[str, Any]
"""``seconds`` of search, and of the selection that the method cannot do without; ``accuracy`` held out; ``arch``, where
the child has a name."""


class _Watch(Callback):
    """Looks after each epoch, on a clock that stops while it does.

    Attributes:
        points: one for each epoch.
    """

    def __init__(self, look: Callable[[], tuple[float, Point]]) -> None:
        self.points: list[Point] = []
        self._look = look
        self._searching = 0.0
        self._since = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Stop it and look."""
        self._searching += time.perf_counter() - self._since
        states = torch.get_rng_state()
        selecting, found = self._look()
        torch.set_rng_state(states)
        self.points.append({"seconds": self._searching + selecting, **found})


def curve(
    name: str,
    make: Callable[[], ModelSpace],
    data: TaskData,
    search: SearchSettings,
    training: TrainingSettings,
    seed: int,
    candidates: int,
    named: Callable[[dict[str, Any]], str] | None = None,
) -> list[Point]:
    """Search and return a point for each epoch.

    The child's BatchNorm statistics are measured anew for every method, which is not counted; what RandomOneShot needs
    to select one of its children is.

    Args:
        name: snas, darts, gumbel_darts or random.
        make: makes the space.
        data: the splits; ``validation`` judges.
        search: settings of the search.
        training: of the weights.
        seed: of everything.
        candidates: children that random sampling compares.
        named: returns the name of an NNI sample's child; None where children have none.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    space = make()
    method: Method = make_method(name, space, search, seed)
    weights, logits = halves(data, seed) if method.bilevel else (data, data)

    def look() -> tuple[float, Point]:
        start = time.perf_counter()
        reached = []
        modes = {module: module.training for module in method.strategy.supernet.modules()}
        for sample in method.samples(candidates):
            child = recalibrated(method.child(sample), recalibration_batches(data))
            accuracy = evaluate(torch_predictor(child), evaluation_loader(data, data.validation)).top1.value
            reached.append({"accuracy": accuracy} | ({} if named is None else {"arch": named(sample)}))
        for module, mode in modes.items():
            module.training = mode
        selecting = time.perf_counter() - start if len(reached) > 1 else 0.0
        return selecting, max(reached, key=lambda each: each["accuracy"])

    watch = _Watch(look)
    trainer = Trainer(
        max_epochs=search.epochs,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=search.weights_gradient_clip if name == "random" else None,
        logger=False,
        callbacks=[watch],
        enable_checkpointing=False,
        limit_val_batches=0,
        **SILENT,
    )
    evaluator = Lightning(
        training_module(data, training),
        trainer,
        train_dataloaders=training_loader(weights, search.batch_size, seed),
        val_dataloaders=training_loader(logits, search.batch_size, seed + 1),
    )
    reorder = space.register_forward_pre_hook(channels_last)
    method.strategy.initialize(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    # NNI gives its module the model when it fits, and some of its methods are asked for children before that.
    method.strategy.run()
    reorder.remove()
    return watch.points
