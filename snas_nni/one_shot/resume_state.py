"""What a resumed search needs beyond a module's ``state_dict``: metrics, means of the epoch, random states."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from snas_nni.one_shot.lightning_compat import (
    add_to_running_sum,
    batch_index,
    begin_loaders_anew,
    metric_state,
    running_sums,
    set_metric_state,
    take_loader_states,
    training_loaders,
)
from snas_nni.resumable_loader import ResumableLoader

__all__ = [
    "PartialMeans",
    "Resumption",
    "metric_states",
    "random_state",
    "set_metric_states",
    "set_random_state",
    "undisturbed_metrics",
]


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Return a copy of the accumulated state of each torchmetrics object in ``module``, by its name."""
    return {name: metric_state(metric) for name, metric in module.named_modules() if isinstance(metric, Metric)}


def set_metric_states(module: nn.Module, states: Mapping[str, Mapping[str, Any]]) -> None:
    """Put back what :func:`metric_states` returned."""
    metrics = {name: metric for name, metric in module.named_modules() if isinstance(metric, Metric)}
    for name, saved in states.items():
        set_metric_state(metrics[name], saved)


@contextmanager
def undisturbed_metrics(module: nn.Module) -> Iterator[None]:
    """Let a block use torchmetrics objects without leaving a trace in their accumulated state."""
    saved = metric_states(module)
    for metric in module.modules():
        if isinstance(metric, Metric):
            metric.reset()
    try:
        yield
    finally:
        set_metric_states(module, saved)


class PartialMeans:
    """Reads and completes the running sums behind Lightning's ``log(..., on_epoch=True)``.

    They are added back once each name was logged for the first time in the resumed epoch, because only then does
    Lightning know it, and before it is logged again, so that numbers are added in the order of an uninterrupted epoch.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, Tensor]] = {}

    @staticmethod
    def state_dict(trainer: Any) -> dict[str, dict[str, Tensor]]:
        """Return the sums of the epoch's training steps, by key."""
        return running_sums(trainer)

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Remember sums until :meth:`complete`."""
        self._sums = dict(state)

    def complete(self, trainer: Any) -> None:
        """Add the remembered sums to what was just logged under their names."""
        self._sums = {key: saved for key, saved in self._sums.items() if not add_to_running_sum(trainer, key, saved)}


class Resumption:
    """What a search checkpoint keeps beside the module's own ``state_dict``, and where each part of it is put back.

    A search that was cut within an epoch goes on in the middle of it: starting the epoch anew has changed random
    states and metrics by then, so these are put back before its first batch.
    """

    def __init__(self) -> None:
        self._means = PartialMeans()
        self._within_epoch: dict[str, Any] | None = None
        self._random: dict[str, Any] | None = None
        self._loader_states: list[Any] = []

    @property
    def resumes(self) -> bool:
        """Whether a checkpoint was loaded, and no step was made since."""
        return self._random is not None

    @staticmethod
    def state_dict(trainer: Any, training_module: nn.Module) -> dict[str, Any]:
        """What a checkpoint keeps, at the end of a step or of an epoch."""
        within_epoch = batch_index(trainer) >= 0 and not trainer.is_last_batch
        return {
            "random": random_state(),
            "means": PartialMeans.state_dict(trainer) if within_epoch else {},
            "metrics": metric_states(training_module) if within_epoch else {},
            "within_epoch": within_epoch,
        }

    def load_state_dict(self, state: dict[str, Any], checkpoint: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Args:
            state: what :meth:`state_dict` returned.
            checkpoint: Lightning's, for the states of the loaders.
        """
        self._random = state["random"]
        set_random_state(state["random"])
        self._loader_states = take_loader_states(checkpoint)
        if state["within_epoch"]:
            self._means.load_state_dict(state["means"])
            self._within_epoch = state

    def start_training(self, trainer: Any) -> None:
        """Give loaders their states, and let them begin with the random states of the checkpoint."""
        if self._random is None:
            return
        loaders = [loader for loader in training_loaders(trainer) if hasattr(loader, "load_state_dict")]
        # Fewer states than loaders: of a former version, which kept none of a bi-level search's second one.
        for loader, state in zip(loaders, self._loader_states, strict=False):
            loader.load_state_dict(state)
        set_random_state(self._random)
        begin_loaders_anew(trainer)
        self._random, self._loader_states = None, []

    @staticmethod
    def end_epoch(trainer: Any) -> None:
        """Let loaders forget where they are: an epoch may end before they do."""
        for loader in training_loaders(trainer):
            if isinstance(loader, ResumableLoader):
                loader.end_epoch()

    def start_batch(self, training_module: nn.Module) -> None:
        """In an epoch that goes on, restore what its start has changed."""
        if self._within_epoch is not None:
            set_random_state(self._within_epoch["random"])
            set_metric_states(training_module, self._within_epoch["metrics"])
            self._within_epoch = None

    def has_logged(self, trainer: Any) -> None:
        """Complete the means of an epoch that goes on; to be called after each number that a step logs at most once."""
        self._means.complete(trainer)


def random_state() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and PyTorch's global generators, those of CUDA devices included."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (str(name), [int(key) for key in keys], int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what :func:`random_state` returned; on another number of CUDA devices these start as they are."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numbers, position, has_gauss, gaussian = state["numpy"]
    np.random.set_state((name, np.asarray(numbers, dtype=np.uint32), position, has_gauss, gaussian))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])
