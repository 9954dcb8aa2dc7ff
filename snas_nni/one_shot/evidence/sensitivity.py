"""Logits to begin with that were measured: how much the loss rises when one choice of a trained network is changed.

A child of a trained network loses what each of its changes loses, and more where one layer is changed much. So the
logits fall in proportion to the squares of the rises: the log-probability of a child is the sum of its squares, up to a
factor and a constant, and the most probable child within a budget, which the solver finds, is the one that spreads what
it loses over its layers so that this sum is least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice, OneOf
from snas_nni.errors import NotFiniteError, SettingError
from snas_nni.one_shot.distributed import broadcast_from_rank_zero
from snas_nni.one_shot.evidence.batches import Batches, examples_in
from snas_nni.one_shot.evidence.undisturbed import moved, undisturbed

__all__ = [
    "REACH",
    "Counter",
    "begin_from_sensitivities",
    "first_child",
    "logits_of_rises",
    "losses_of_children",
    "measured_rises",
    "no_counter",
    "put_logits",
]

REACH = 5.0
"""Nats between the best candidate of a label and its worst one, in the mean over the labels."""

Loss = Callable[[Mapping[str, Any]], float]
Counter = Callable[[str, int], Callable[[], None]]
"""Gets what is counted and up to how many, and returns what is called after each."""


def no_counter(what: str, total: int) -> Callable[[], None]:
    """Tell nobody."""
    return lambda: None


def logits_of_rises(rises: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return logits that fall in proportion to the squares of rises of the loss, whatever its unit.

    a = -REACH * d^2 / s, where d is the difference between a rise and the least one of its label, and s the mean over
    the labels of their largest d^2; all 0 where nothing differs.

    Args:
        rises: of each candidate by label, shape ``(K,)``; infinite and NaN count as the largest finite one of all.

    Returns:
        By label, shape ``(K,)``, float32, at most 0.
    """
    finite = [float(each[each.isfinite()].max()) for each in rises.values() if each.isfinite().any()]
    top = max([0.0, *finite])
    clean = {label: torch.where(each.isfinite(), each, top).double() for label, each in rises.items()}
    squares = {label: (each - each.min()).square() for label, each in clean.items()}
    scale = sum(float(each.max()) for each in squares.values()) / max(1, len(squares))
    return {label: (-REACH / scale * each if scale > 0 else 0 * each).float() for label, each in squares.items()}


def measured_rises(
    loss: Loss,
    choices: Mapping[str, Choice],
    around: Mapping[str, Any],
    excluded: Mapping[str, tuple[int, ...]] | None = None,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Return how much the loss rises when one choice of a child is changed, for each candidate.

    Args:
        loss: of a child's NNI sample.
        choices: by label, each of one candidate.
        around: NNI sample of the child; its own candidates have a rise of 0.
        excluded: candidates that no child may have, as indices by label: they are not measured, and infinite.
        told: called after each measurement.

    Returns:
        By label, shape ``(K,)``, float64.

    Raises:
        NotFiniteError: the loss of the child itself is not.
    """
    base = loss(around)
    told()
    if not math.isfinite(base):
        raise NotFiniteError(
            f"initial_logits: the loss of the network that the search begins with is {base} on training batches. Are "
            "its weights those of a trained network, and is there a NaN in the data?"
        )
    rises = {}
    for label, choice in choices.items():
        (now,) = choice.categories(around[label])
        left_out = (excluded or {}).get(label, ())
        values = []
        for index in range(len(choice.candidates)):
            if index == now or index in left_out:
                values.append(0.0 if index == now else math.inf)
                continue
            values.append(loss({**around, label: choice.value([index])}) - base)
            told()
        rises[label] = torch.tensor(values, dtype=torch.float64)
    return rises


def first_child(choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Return the NNI sample of the first candidate of each choice: of a space from a network, the network itself.

    Raises:
        SettingError: names a choice that is not of one candidate.
    """
    for label, choice in choices.items():
        if not isinstance(choice, OneOf):
            raise SettingError(
                f"initial_logits is sensitivity, but label '{label}' chooses several candidates at once. It is for "
                "spaces that are made from a trained network; leave it at random here."
            )
    return {label: choice.value([0]) for label, choice in choices.items()}


def put_logits(distribution: ArchitectureDistribution, logits: Mapping[str, Tensor]) -> None:
    """Write logits, shape ``(K,)`` by label, into a distribution."""
    with torch.no_grad():
        for label, values in logits.items():
            distribution.logits_of(label).copy_(values)


def begin_from_sensitivities(
    distribution: ArchitectureDistribution,
    loss: Loss,
    counter: Counter = no_counter,
) -> None:
    """Set the logits of a distribution by what its network loses with one candidate changed.

    Args:
        distribution: of choices of one candidate, the trained network's own first.
        loss: of a child's NNI sample.
        counter: gets what is counted and up to how many, and returns what is called after each.

    Raises:
        SettingError: a choice is not of one candidate.
        NotFiniteError: the loss of the network is not.
    """
    choices, excluded = distribution.choices, distribution.excluded
    around = first_child(choices)
    count = 1 + sum(
        len(set(range(1, len(choice.candidates))) - set(excluded.get(label, ()))) for label, choice in choices.items()
    )
    rises = measured_rises(loss, choices, around, excluded, counter("measuring what the network loses", count))
    put_logits(distribution, broadcast_from_rank_zero(logits_of_rises(rises)))


@contextmanager
def losses_of_children(
    training_module: Any,
    distribution: ArchitectureDistribution,
    training: Batches,
    *,
    trainer: Any = None,
    seed: int = 0,
) -> Iterator[Loss]:
    """Give what measures the training loss of children inside a ``with`` block, by the evaluator's ``training_step``.

    It is the mean over the batches, each normalized by its own statistics in BatchNorm layers; all else runs as in
    evaluation. Afterwards the supernet, the evaluator's metrics and the random generators are as before.

    Args:
        training_module: the evaluator's Lightning module, which holds the supernet.
        distribution: of the supernet.
        training: the batches, the same for every child.
        trainer: moves batches to its device and knows the precision; None: the device of the weights, 32 bits.
        seed: of what loaders and steps draw meanwhile.
    """
    supernet = next((each for each in training_module.modules() if isinstance(each, ModelSpace)), training_module)
    with undisturbed(training_module) as log:
        batches = [moved(batch, training_module, trainer) for batch in training.seeded(seed)]
        training_module.eval()
        for layer in supernet.modules():
            if isinstance(layer, _BatchNorm):
                layer.train()

        def loss(sample: Mapping[str, Any]) -> float:
            torch.manual_seed(seed)
            total: Any = 0.0
            with ExitStack() as stack:
                stack.enter_context(distribution.use(distribution.one_hot_sample(sample)))
                if trainer is not None:
                    stack.enter_context(trainer.precision_plugin.train_step_context())
                for index, batch in enumerate(batches):
                    log.examples = examples_in(batch)
                    output = training_module.training_step(batch, index)
                    total = total + (output["loss"] if isinstance(output, dict) else output).detach()
            return float(total) / len(batches)

        yield loss
