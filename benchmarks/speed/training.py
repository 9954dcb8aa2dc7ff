"""Search runs and the training of a child, all on the same path: NNI's evaluator, Lightning's loop."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy import DARTS, GumbelDARTS
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.speed.spaces import make_space
from benchmarks.speed.timing import BatchTimer
from snas_nni import SNAS
from snas_nni.cpu_kernels.fast_layers import use_fast_kernels, use_fast_kernels_in_training
from snas_nni.cpu_kernels.memory_format import channels_last

__all__ = ["evaluator", "preset_logits", "search", "snas_supernet", "train_child"]

PEAK = 0.9


def evaluator(epochs: int, batches: int, batch: int, timer: BatchTimer) -> Classification:
    """NNI's classifier on random images ``(batch, 3, 32, 32)``; held-out images exist but are not evaluated."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batches * batch, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (batches * batch,), generator=generator)
    loaders = [DataLoader(TensorDataset(images, labels), batch_size=batch) for _ in ("train", "held-out")]
    return Classification(
        learning_rate=1e-3,
        num_classes=10,
        train_dataloaders=loaders[0],
        val_dataloaders=loaders[1],
        max_epochs=epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=[timer],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )


def preset_logits(parameters: list[nn.Parameter], kind: str) -> None:
    """Leave logits ``uniform``, or make each row ``peaked``: 0.9 on a random candidate, the rest shared equally."""
    if kind == "uniform":
        return
    chooser = random.Random(4)
    with torch.no_grad():
        for logits in parameters:
            for row in logits.view(-1, logits.shape[-1]):
                others = max(1, len(row) - 1)
                row.fill_(math.log((1 - PEAK) / others))
                row[chooser.randrange(len(row))] = math.log(PEAK)


def make_strategy(name: str, options: dict[str, Any]) -> Any:
    """SNAS, or NNI's ``gumbel`` or ``darts`` as they ship, the former annealed as SNAS is."""
    if name == "snas":
        return SNAS(**{"seed": 2, **options})
    if name == "gumbel":
        return GumbelDARTS(temperature={"init": 1.0, "min": 0.03})
    if name == "darts":
        return DARTS()
    raise ValueError(f"strategy must be snas, gumbel or darts, got {name!r}.")


def search(job: dict[str, Any]) -> dict[str, Any]:
    """Search for a few steps.

    Args:
        job: ``strategy``, ``options`` of it, ``space`` and its ``arguments``, ``logits``, ``epochs``, ``batches`` of
            each epoch, ``batch`` images.
    """
    timer = BatchTimer()
    space = make_space(job["space"], **job.get("arguments", {}))
    strategy = make_strategy(job["strategy"], job.get("options", {}))
    classifier = evaluator(job["epochs"], job["batches"], job["batch"], timer)
    torch.manual_seed(3)
    strategy.initialize(RawFormatModelSpace(space, classifier), SequentialExecutionEngine())
    is_snas = isinstance(strategy, SNAS)
    # NNI gives its module the model when it fits; its logits are found on the supernet before that.
    strategy.oneshot_module.set_model(strategy.supernet)
    logits = strategy.distribution.parameters() if is_snas else strategy.oneshot_module.arch_parameters()
    preset_logits(list(logits), job["logits"])
    strategy.run()
    return timer.result()


def snas_supernet(space: str, logits: str, **arguments: Any) -> SNAS:
    """A strategy with its supernet, not trained, and as fast as it is in a search."""
    strategy = SNAS(seed=2)
    supernet = strategy.mutate_model(make_space(space, **arguments)).train()
    use_fast_kernels_in_training(supernet, supernet, "cpu", channels_last=False)  # the images come in their order
    preset_logits(list(strategy.distribution.parameters()), logits)
    return strategy


def train_child(job: dict[str, Any]) -> dict[str, Any]:
    """Train the child at the mode, with the same evaluator and Lightning's automatic optimisation.

    Args:
        job: as for :func:`search`.
    """
    timer = BatchTimer()
    strategy = SNAS(seed=2)
    space = make_space(job["space"], **job.get("arguments", {}))
    model = RawFormatModelSpace(space, evaluator(1, 1, 2, BatchTimer()))
    strategy.initialize(model, SequentialExecutionEngine())
    preset_logits(list(strategy.distribution.parameters()), job["logits"])
    _, child = strategy.derive()
    if job.get("channels_last", True):  # as the search trains it, so that the ratio tells of the search only
        child.register_forward_pre_hook(channels_last)
        use_fast_kernels(child)
    evaluator(job["epochs"], job["batches"], job["batch"], timer).evaluate(child)
    return timer.result()
