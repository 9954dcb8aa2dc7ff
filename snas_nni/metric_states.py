"""The accumulated state of torchmetrics objects, which a module's ``state_dict`` leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

__all__ = ["metric_states", "set_metric_states", "undisturbed_metrics"]


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
