"""Training a child alone inside the supernet for a while, so that it is judged by weights that fit it.

Weights that all children share say little about one of them: of NAS-Bench-201's cells they rank those that are good
about as chance does. Afterwards the supernet has its weights again, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from snas_nni.one_shot.optimizers import weights_optimizer

__all__ = ["optimizers_in", "train_alone", "weights_restored"]


@contextmanager
def weights_restored(network: nn.Module) -> Iterator[None]:
    """Leave all parameters and buffers after a ``with`` block as they were before it, and their gradients empty."""
    kept = [(tensor, tensor.detach().clone()) for tensor in (*network.parameters(), *network.buffers())]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in kept:
                tensor.copy_(value)
        for parameter in network.parameters():
            parameter.grad = None


def optimizers_in(configured: Any) -> Iterator[torch.optim.Optimizer]:
    """The optimizers in whatever a module's ``configure_optimizers`` returned."""
    if isinstance(configured, torch.optim.Optimizer):
        yield configured
    elif isinstance(configured, dict):
        yield from optimizers_in(configured.get("optimizer"))
    elif isinstance(configured, (list, tuple)):
        for part in configured:
            yield from optimizers_in(part)


def train_alone(
    module: Any, loss_of: Callable[[Any, int], Any], epochs: Iterable[Iterable[Any]], steps: int, clip: float | None
) -> None:
    """Train what the supernet runs now, with a new optimizer of the evaluator's kind.

    Its learning rates fall from their first values to 0 along half a cosine.

    Args:
        module: the evaluator's Lightning module, which holds the supernet.
        loss_of: runs the module on a batch with its index, and returns what its ``training_step`` did.
        epochs: the batches of each epoch.
        steps: in all of them.
        clip: largest norm of the gradient; None for no limit.

    Raises:
        SettingError: the evaluator has not exactly one optimizer.
    """
    optimizer = weights_optimizer(optimizers_in(module.configure_optimizers()), module)
    first = [group["lr"] for group in optimizer.param_groups]
    done = 0
    module.train()
    with torch.enable_grad():
        for batches in epochs:
            for index, batch in enumerate(batches):
                for group, rate in zip(optimizer.param_groups, first, strict=True):
                    group["lr"] = rate * (1 + math.cos(math.pi * min(1.0, done / max(1, steps)))) / 2
                optimizer.zero_grad()
                output = loss_of(batch, index)
                (output["loss"] if isinstance(output, dict) else output).backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(module.parameters(), clip)
                optimizer.step()
                done += 1
