"""What a resumed search needs beyond a module's ``state_dict``: metrics, means of the epoch, random states."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

__all__ = [
    "PartialMeans",
    "metric_states",
    "random_state",
    "set_metric_states",
    "set_random_state",
    "undisturbed_metrics",
]


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Return a copy of the accumulated state of each torchmetrics object in ``module``, by its name."""
    found = {}
    for name, metric in module.named_modules():
        if isinstance(metric, Metric):
            state = {
                key: value.detach().clone() if isinstance(value, Tensor) else [each.detach().clone() for each in value]
                for key, value in metric.metric_state.items()
            }
            found[name] = {"updates": metric._update_count, "state": state}
    return found


def set_metric_states(module: nn.Module, states: dict[str, dict[str, Any]]) -> None:
    """Put back what :func:`metric_states` returned."""
    metrics = {name: metric for name, metric in module.named_modules() if isinstance(metric, Metric)}
    for name, saved in states.items():
        metric = metrics[name]
        for key, value in saved["state"].items():
            moved = value.to(metric.device) if isinstance(value, Tensor) else [v.to(metric.device) for v in value]
            setattr(metric, key, moved)
        metric._update_count, metric._computed = saved["updates"], None


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

    Lightning has no public way to them. They are added back after the first step of the resumed epoch, because only
    then does Lightning know the names; addition of two numbers commutes, so the sums are equal to the bit.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, Tensor]] = {}

    @staticmethod
    def state_dict(trainer: Any) -> dict[str, dict[str, Tensor]]:
        """Return ``{key: {"value": sum, "count": number of examples}}`` of the epoch's training steps."""
        found: dict[str, dict[str, Tensor]] = {}
        for key, result in trainer.fit_loop.epoch_loop._results.items():
            if result.is_tensor and result.meta.on_epoch and not result.has_reset:
                found[str(key)] = {"value": result.value.detach().clone()}
                if result.meta.is_mean_reduction:
                    found[str(key)]["count"] = result.cumulated_batch_size.clone()
        return found

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Remember sums until :meth:`complete`."""
        self._sums = dict(state)

    def complete(self, trainer: Any) -> None:
        """Add the remembered sums to those of the step that was just logged."""
        results = trainer.fit_loop.epoch_loop._results
        for key in [key for key in self._sums if key in results and not results[key].has_reset]:
            saved, result = self._sums.pop(key), results[key]
            value = saved["value"].to(result.value.device)
            if result.meta.is_max_reduction or result.meta.is_min_reduction:
                result.value = result.meta.reduce_fx(result.value, value)
            else:
                result.value = result.value + value
            if result.meta.is_mean_reduction:
                result.cumulated_batch_size = result.cumulated_batch_size + saved["count"].to(value.device)
            result._computed = None


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
