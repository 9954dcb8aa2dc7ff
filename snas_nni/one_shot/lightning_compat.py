"""What Lightning 2 and torchmetrics have no public way to, in one place.

Lightning resumes within an epoch, but not the running sums behind ``log(..., on_epoch=True)``, nor, where the
checkpoint is from the end of an epoch, the states of the data loaders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchmetrics import Metric

__all__ = [
    "add_to_running_sum",
    "batch_index",
    "begin_loaders_anew",
    "metric_state",
    "running_sums",
    "set_metric_state",
    "set_up_training_loaders",
    "take_loader_states",
    "trainer_of",
    "training_loaders",
    "validation_loaders",
]


def batch_index(trainer: Any) -> int:
    """Index of the current training batch in its epoch; -1 before the first."""
    return int(trainer.fit_loop.epoch_loop.batch_idx)


def training_loaders(trainer: Any) -> list[Any]:
    """The training loaders, in the order of their states in a checkpoint."""
    return list(trainer.fit_loop._combined_loader.flattened)


def trainer_of(module: Any) -> Any | None:
    """The Trainer that a Lightning module runs or ran in; None where it never did."""
    return getattr(module, "_trainer", None)


def validation_loaders(trainer: Any) -> list[tuple[Any, float]]:
    """The validation loaders, each with how many of its batches the Trainer validates on; none if it does not."""
    if not trainer.enable_validation:
        return []
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.setup_data()
    loaders = trainer.val_dataloaders
    return list(zip(loaders if isinstance(loaders, (list, tuple)) else [loaders], loop.max_batches, strict=True))


def take_loader_states(checkpoint: Mapping[str, Any]) -> list[Any]:
    """Take the states of the training loaders out of a loaded checkpoint, so that Lightning does not give them.

    It does so in some cases only: in a search that was cut within an epoch, and if nobody has asked for the number of
    batches before the loops are restored.
    """
    found: list[Any] = checkpoint["loops"]["fit_loop"]["state_dict"].pop("combined_loader", [])
    return found


def set_up_training_loaders(trainer: Any) -> None:
    """Let there be training loaders, where Lightning makes them later."""
    trainer.fit_loop.setup_data()


def begin_loaders_anew(trainer: Any) -> None:
    """Make the iterators of the training loaders once more, for loaders whose state has changed since they were made.

    For the start of a training: within it, batches would be lost.
    """
    iter(trainer.fit_loop._data_fetcher)


def running_sums(trainer: Any) -> dict[str, dict[str, Tensor]]:
    """Return ``{key: {"value": sum, "count": number of examples}}`` of what training steps logged in this epoch."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, result in trainer.fit_loop.epoch_loop._results.items():
        if result.is_tensor and result.meta.on_epoch and not result.has_reset:
            found[str(key)] = {"value": result.value.detach().clone()}
            if result.meta.is_mean_reduction:
                found[str(key)]["count"] = result.cumulated_batch_size.clone()
    return found


def add_to_running_sum(trainer: Any, key: str, saved: Mapping[str, Tensor]) -> bool:
    """Add one of the :func:`running_sums` to that of this process; False if nothing was logged under its key yet.

    Addition of two numbers commutes, so a sum that is completed later is equal to the bit.
    """
    results = trainer.fit_loop.epoch_loop._results
    if key not in results or results[key].has_reset:
        return False
    result = results[key]
    value = saved["value"].to(result.value.device)
    if result.meta.is_max_reduction or result.meta.is_min_reduction:
        result.value = result.meta.reduce_fx(result.value, value)
    else:
        result.value = result.value + value
    if result.meta.is_mean_reduction:
        result.cumulated_batch_size = result.cumulated_batch_size + saved["count"].to(value.device)
    result._computed = None
    return True


def metric_state(metric: Metric) -> dict[str, Any]:
    """Return a copy of the accumulated state of a torchmetrics object: ``updates`` and ``state``, tensors by name."""
    state = {
        key: value.detach().clone() if isinstance(value, Tensor) else [each.detach().clone() for each in value]
        for key, value in metric.metric_state.items()
    }
    return {"updates": metric._update_count, "state": state}


def set_metric_state(metric: Metric, saved: Mapping[str, Any]) -> None:
    """Put back what :func:`metric_state` returned, on the device where the object is."""
    for key, value in saved["state"].items():
        moved = value.to(metric.device) if isinstance(value, Tensor) else [v.to(metric.device) for v in value]
        setattr(metric, key, moved)
    metric._update_count, metric._computed = saved["updates"], None
