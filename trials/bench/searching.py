"""One search of a comparison: equal images, equal training of the weights, whatever the method."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Callback
from torch import nn

from snas_nni.cpu_kernels.memory_format import channels_last
from trials.bench.methods import Method, make_method
from trials.bench.recalibration import recalibrated
from trials.bench.subset import halves
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.types import TaskData
from trials.progress import Progress
from trials.settings.search import SearchSettings, TrainingSettings
from trials.training.callbacks import epoch_line
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.modules import training_module
from trials.training.trainer import SILENT

__all__ = ["SearchOutcome", "recalibration_batches", "search_with", "train_on"]


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found, measured on held-out images.

    Attributes:
        sample: the child's NNI sample.
        child: with inherited weights, as they are.
        search_accuracy: of the supernet, run as the method runs it in the search.
        child_accuracy: of the child.
        child_accuracy_bn_recalibrated: of the child with BatchNorm statistics of its own.
        entropy: of the architecture distribution after each epoch, in nats.
        images: training images that were consumed, those for logits included.
        seconds: that the search took.
        candidates: samples that were looked at, with their accuracy; more than one in random sampling only.
        probable: the most probable children, as many as were asked for.
    """

    sample: dict[str, Any]
    child: nn.Module
    search_accuracy: float
    child_accuracy: float
    child_accuracy_bn_recalibrated: float
    entropy: list[float]
    images: int
    seconds: float
    candidates: list[tuple[dict[str, Any], float]]
    probable: list[dict[str, Any]]


class _Epochs(Callback):
    """Counts images, keeps the entropy, and tells how far the search is."""

    def __init__(self, entropy: Callable[[], float], progress: Progress) -> None:
        self.entropy: list[float] = []
        self.images = 0
        self._entropy = entropy
        self._progress = progress
        self._start = time.monotonic()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the images of the step."""
        pairs = batch.values() if isinstance(batch, dict) else [batch]
        self.images += sum(len(labels) for _, labels in pairs)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep and print."""
        self.entropy.append(self._entropy())
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        left = (time.monotonic() - self._start) / done * (total - done)
        shown = {"search/entropy": self.entropy[-1]}
        if "train_acc" in trainer.callback_metrics:
            shown["train_acc"] = float(trainer.callback_metrics["train_acc"])
        self._progress.say("  " + epoch_line(done, total, shown, left))


def search_with(
    name: str,
    make: Callable[[], ModelSpace],
    data: TaskData,
    search: SearchSettings,
    training: TrainingSettings,
    seed: int,
    candidates: int,
    progress: Progress,
    probable: int = 1,
) -> SearchOutcome:
    """Search, derive and evaluate.

    Every method consumes the same number of training images: bi-level ones train weights on one half of them and
    logits on the other.

    Args:
        name: of the method.
        make: makes the space.
        data: the splits; ``validation`` judges.
        search: settings of the search.
        training: settings of the weights' training.
        seed: of everything.
        candidates: children that random sampling compares by held-out accuracy.
        progress: told each epoch.
        probable: how many of the most probable children to name.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    space = make()
    method = make_method(name, space, search, seed)
    weights, logits = halves(data, seed) if method.bilevel else (data, data)
    report = _Epochs(method.entropy, progress)
    evaluator = Lightning(
        training_module(data, training),
        # Only RandomOneShot leaves the optimisation, and with it the clip, to Lightning.
        _trainer(search.epochs, [report], search.weights_gradient_clip if name == "random" else None),
        train_dataloaders=training_loader(weights, search.batch_size, seed),
        val_dataloaders=training_loader(logits, search.batch_size, seed + 1),
    )
    start = time.monotonic()
    # The order of memory that convolutions on a CPU are fast in, for all methods alike.
    reorder = space.register_forward_pre_hook(channels_last)
    method.strategy.initialize(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    method.strategy.run()
    reorder.remove()
    seconds = time.monotonic() - start
    likely = method.probable(probable)
    return _measured(method, data, seed, candidates, report, seconds, likely)


def _measured(
    method: Method,
    data: TaskData,
    seed: int,
    count: int,
    report: _Epochs,
    seconds: float,
    probable: list[dict[str, Any]],
) -> SearchOutcome:
    held_out = evaluation_loader(data, data.validation)
    supernet = method.strategy.supernet.cpu().eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        search_accuracy = evaluate(lambda inputs: _logits(method.predict(inputs)), held_out).top1.value
    found = []
    for sample in method.samples(count):
        child = recalibrated(method.child(sample), recalibration_batches(data))
        found.append((sample, _accuracy(child, held_out)))
    sample, best = max(found, key=lambda each: each[1])
    supernet.eval()
    child = method.child(sample)
    return SearchOutcome(
        sample=sample,
        child=child,
        search_accuracy=search_accuracy,
        child_accuracy=_accuracy(child, held_out),
        child_accuracy_bn_recalibrated=best,
        entropy=report.entropy,
        images=report.images,
        seconds=seconds,
        candidates=found,
        probable=probable,
    )


def recalibration_batches(data: TaskData) -> Any:
    """All training images, not augmented, in an order that mixes the classes of every batch."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    return evaluation_loader(data, data.train.select(order))


def train_on(
    child: nn.Module,
    data: TaskData,
    search: SearchSettings,
    training: TrainingSettings,
    epochs: int,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> float:
    """Train a child on, by itself, with the search's recipe; return its held-out accuracy."""
    lightning.seed_everything(seed, workers=True, verbose=False)
    module = training_module(data, training)
    module.set_model(child.train())
    _trainer(epochs, callbacks, search.weights_gradient_clip).fit(
        module, training_loader(data, search.batch_size, seed)
    )
    return _accuracy(child, evaluation_loader(data, data.validation))


def _trainer(epochs: int, callbacks: Sequence[Callback], clip: float | None) -> Any:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=clip,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        limit_val_batches=0,
        **SILENT,
    )


def _accuracy(child: nn.Module, batches: Any) -> float:
    return evaluate(torch_predictor(child), batches).top1.value


def _logits(output: Any) -> torch.Tensor:
    logits: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return logits
