"""One search on several devices: processes in step, gradients averaged once an optimisation step.

Every process holds the whole supernet and the same logits, and its generator draws the same sample; each has its own
batches. Lightning's DDP strategy would average gradients inside every backward pass, and waits for ever for a
parameter that no pass uses, such as those of a candidate that is skipped. So its averaging is left out, and done here:
after the last backward pass of a step, for the parameters that any process has a gradient of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from snas_nni.errors import SettingError

__all__ = [
    "all_reduce_max",
    "all_reduce_mean",
    "average",
    "average_buffers",
    "average_gradients",
    "broadcast_from_rank_zero",
    "devices_of",
    "local_backward",
    "rank_of",
    "samples_of_this_device",
]

_BUCKET = 2**23  # elements in one message; more would cost memory, fewer time


def devices_of(trainer: Any) -> int:
    """Return how many processes train together; 1 is a search on its own.

    Raises:
        SettingError: they do so under another strategy than Lightning's ``ddp``.
    """
    count = int(trainer.world_size)
    if count > 1 and not isinstance(trainer.strategy.model, DistributedDataParallel):
        raise SettingError(
            f"the Trainer's strategy is {type(trainer.strategy).__name__}; a search on {count} devices needs "
            "Trainer(strategy='ddp'), in which each device holds the whole supernet."
        )
    return count


def rank_of(trainer: Any) -> int:
    """Return this process's number among those that train together, from 0."""
    return int(trainer.global_rank)


def samples_of_this_device(trainer: Any, count: int, spread: bool) -> list[bool]:
    """Return for each of the samples of a step whether this device runs it.

    Args:
        trainer: of the search.
        count: samples of a step.
        spread: share them out among the devices; otherwise each device runs all of them.

    Raises:
        SettingError: they cannot be shared equally.
    """
    devices = devices_of(trainer) if spread else 1
    if count % devices:
        raise SettingError(
            f"spread_samples: {count} samples_per_step cannot be shared equally by {devices} devices. "
            "Give a multiple of their number."
        )
    return [devices == 1 or index % devices == rank_of(trainer) for index in range(count)]


def local_backward(trainer: Any) -> AbstractContextManager[Any]:
    """A ``with`` block in which backward passes stay on this device."""
    model = trainer.strategy.model
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def average(value: float, device: torch.device) -> float:
    """Return the mean of a number over the processes: not finite for all, if it is for one."""
    tensor = torch.tensor(
        [value], dtype=torch.float64 if device.type in ("cpu", "cuda") else torch.float32, device=device
    )
    distributed.all_reduce(tensor)
    return float(tensor) / distributed.get_world_size()


def all_reduce_max(number: int, device: torch.device) -> int:
    """Return the largest of a whole number over the processes."""
    tensor = torch.tensor([number], device=device)
    distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
    return int(tensor)


def broadcast_from_rank_zero(value: Any) -> Any:
    """Return the first process's value in all of them, such as a measured time; the value itself in a search alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Put the mean over the processes into ``grad`` of each parameter, in place.

    A process without a gradient counts with zeros; where no process has one, there is none afterwards, so that an
    optimiser leaves the parameter alone as it does in a search on one device.

    Args:
        parameters: the same ones in the same order in each process.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        return
    used = torch.tensor([float(parameter.grad is not None) for parameter in trained], device=trained[0].device)
    distributed.all_reduce(used)
    gradients = []
    for parameter, count in zip(trained, used.tolist(), strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            elif parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
            gradients.append(parameter.grad)
    _average(gradients)


def average_buffers(module: nn.Module) -> None:
    """Put the mean over the processes into each buffer of real numbers, such as running statistics, in place."""
    _average([buffer for buffer in module.buffers() if buffer.is_floating_point()])


def all_reduce_mean(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    """Return the metrics with those under ``prefix`` averaged over the processes that have them."""
    own = {name: value for name, value in metrics.items() if name.startswith(prefix)}
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyone, own)
    names = sorted({name for each in everyone for name in each})
    found = {name: [each[name] for each in everyone if name in each] for name in names}
    return {**metrics, **{name: sum(values) / len(values) for name, values in found.items()}}


def _average(tensors: list[Tensor]) -> None:
    devices = distributed.get_world_size()
    with torch.no_grad():
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            distributed.all_reduce(flat)
            flat /= devices
            for tensor, part in zip(bucket, torch.split(flat, [t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view(tensor.shape))


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Group neighbours of one type and device."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        alike = not bucket or (tensor.dtype, tensor.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and (not alike or size + tensor.numel() > _BUCKET):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
