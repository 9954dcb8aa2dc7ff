"""Running a search's network beside the search: afterwards everything is as if nobody had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from snas_nni.derivation.recalibration import statistics_restored
from snas_nni.one_shot.evidence.step_log import StepLog
from snas_nni.one_shot.resume_state import random_state, set_random_state, undisturbed_metrics

__all__ = ["moved", "undisturbed"]


@contextmanager
def undisturbed(module: Any) -> Iterator[StepLog]:
    """Leave BatchNorm statistics, metrics, modes and random generators after a ``with`` block as they were before it.

    There are no gradients inside, and what the module logs goes to the log that is given, and nowhere else.

    Args:
        module: the evaluator's Lightning module, which holds the supernet.
    """
    modes, states, log = {each: each.training for each in module.modules()}, random_state(), StepLog(module)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(statistics_restored(module))
            stack.enter_context(undisturbed_metrics(module))
            stack.enter_context(log.listening())
            yield log
    finally:
        set_random_state(states)
        for each, mode in modes.items():
            each.training = mode


def moved(batch: Any, module: Any, trainer: Any = None) -> Any:
    """Return a batch on the device that the module runs on.

    Args:
        batch: any nest of tensors.
        module: the evaluator's Lightning module.
        trainer: Lightning's, which knows device and precision; None: the device of the weights.
    """
    if trainer is not None:
        return trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
    device = next(module.parameters()).device
    return tree_map(lambda part: part.to(device) if isinstance(part, Tensor) else part, batch)
