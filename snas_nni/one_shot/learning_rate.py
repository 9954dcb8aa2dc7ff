"""Learning rates that follow from the length of a search: of the logits, and of the weights while it settles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.one_shot.progress import Position, settling_epochs, settling_progress
from snas_nni.one_shot.settings import SearchSettings

__all__ = [
    "LARGEST",
    "PAPER",
    "REACH",
    "derived_learning_rate",
    "logits_learning_rate",
    "logits_steps",
    "settling_learning_rate",
    "steps_in",
]

PAPER = 3e-4
"""The paper's learning rate of the logits (section 3), for 150 epochs of 782 steps."""
REACH = 35.0
"""How far all steps of the paper's search can move a logit, in nats: 150 * 782 * 3e-4."""
LARGEST = 0.3


def derived_learning_rate(steps: int) -> float:
    """Return the learning rate with which that many steps reach as far as those of the paper's search.

    A step of Adam moves a logit by at most about the learning rate, and by a small part of it while gradients of
    different samples disagree. A decided choice needs a gap of several nats: 0.95 in one of three candidates is one of
    3.6. So ``steps * rate`` has to be several times that, and the paper's is 35. The rate is not larger than 0.3: a
    few steps cannot decide well, however large they are.

    Args:
        steps: of the logits' optimizer in the whole search, at least 1; those of the warm-up and of
            the last epochs, in which the logits rest, do not count.
    """
    return min(LARGEST, REACH / steps)


def logits_steps(trainer: Any, settings: SearchSettings) -> int:
    """Return how many steps the logits' optimizer has in a whole search of Lightning's, however many are done.

    Raises:
        SettingError: the Trainer does not know how many.
    """
    known = trainer.estimated_stepping_batches  # Lightning looks at the loader for it
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if epochs is None or epochs < 1 or not math.isfinite(batches) or not math.isfinite(known):
        raise SettingError(
            "logits_learning_rate: how large it has to be follows from the number of steps, and the Trainer or the "
            f"training loader does not say how many there are. Give a number, such as the paper's {PAPER}."
        )
    return steps_in(epochs, batches, settings)


def steps_in(epochs: int, batches: float, settings: SearchSettings) -> int:
    """Return how many steps the logits' optimizer has in so many epochs of so many batches."""
    each = math.ceil(batches / settings.accumulate_batches)
    return max(1, each * (epochs - settings.warmup_epochs - settling_epochs(settings, epochs)))


def logits_learning_rate(trainer: Any, settings: SearchSettings) -> float:
    """Return the learning rate that is set, or the one that follows from the length of a search of Lightning's.

    Raises:
        SettingError: neither is known.
    """
    if settings.logits_learning_rate is not None:
        return settings.logits_learning_rate
    return derived_learning_rate(logits_steps(trainer, settings))


@contextmanager
def settling_learning_rate(optimizer: Any, position: Position, settings: SearchSettings) -> Iterator[None]:
    """Let the weights of the chosen child learn faster inside the block than the evaluator's schedule says by then.

    A schedule that falls over the whole search has little left when one child is trained alone, whose weights were
    one of many candidates' until then. So the learning rate begins again at a share of the first one, and falls along
    half a cosine to where the schedule ends. It is never below what the schedule says, and follows from the position
    in the search alone, so a search that goes on needs no state for it.

    Args:
        optimizer: of the weights; its groups know their first learning rate where there is a schedule.
        position: of the current step.
        settings: of the search.
    """
    progress = settling_progress(position, settings)
    scheduled = [group["lr"] for group in optimizer.param_groups]
    if progress is not None:
        share = settings.settle_learning_rate * (1 + math.cos(math.pi * progress)) / 2
        for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
            group["lr"] = max(rate, share * group.get("initial_lr", rate))
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
            group["lr"] = rate
