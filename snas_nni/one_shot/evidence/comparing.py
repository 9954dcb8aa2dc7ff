"""After a search: its children compared on held-out data, the best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from snas_nni.derivation.child import derive_child
from snas_nni.derivation.recalibration import put_statistics, statistics_restored
from snas_nni.errors import SnasError
from snas_nni.one_shot.evidence.batches import Batches, held_out
from snas_nni.one_shot.evidence.judging import Judge, Judged, judge_of
from snas_nni.one_shot.lightning_compat import trainer_of
from snas_nni.one_shot.resume_state import random_state, set_random_state

__all__ = ["ROUNDS", "Accept", "derive_judged", "first_accepted", "judge_after"]

ROUNDS = 4
"""How often as many children again are compared where none is accepted: the most probable ones after those before."""

Accept = Callable[[dict[str, Any], nn.Module], bool]
"""Is asked about a child: gets its NNI sample and a copy of it on the CPU, in evaluation mode."""

Verify = Callable[[Mapping[str, Any], nn.Module], None]


def judge_after(module: Any, *, validation: Any = None, training: Any = None) -> Judge:
    """A judge of a search's children.

    Args:
        module: the search, with the supernet in its evaluator's module; has the held-out and the training batches.
        validation: loader of held-out batches; None: those of the search.
        training: loader of training batches; None: those of the search, where it has any.

    Raises:
        SnasError: there are no held-out batches.
    """
    settings = module.settings
    held_out_batches = (
        module.held_out_batches() if validation is None else [held_out(validation, settings.selection_share)]
    )
    if not held_out_batches:
        raise SnasError(
            "there are no held-out data to compare children on: pass validation=..., a loader of batches as for the "
            "evaluator's validation_step, or give the evaluator val_dataloaders."
        )
    limit = settings.recalibration_batches
    training_part = module.recalibration_batches() if training is None else Batches(training, limit) if limit else None
    return judge_of(
        settings,
        module.training_module,
        module.distribution,
        held_out_batches,
        training_part,
        trainer=trainer_of(module),
        seed=module.seed,
    )


def derive_judged(training_module: Any, supernet: Any, judged: Judged, verify: Verify | None = None) -> nn.Module:
    """The child that was judged, with the BatchNorm statistics that it was judged with.

    Args:
        training_module: the evaluator's, which holds the supernet.
        supernet: of the child.
        judged: the child.
        verify: is given the child while the supernet has its statistics; raises where it is another network.
    """
    with statistics_restored(training_module):
        put_statistics(training_module, judged.statistics)
        child = derive_child(supernet, judged.sample)
        if verify is not None:
            verify(judged.sample, child)
        return child


def first_accepted(
    training_module: Any, supernet: Any, judged: Sequence[Judged], accept: Accept | None
) -> Judged | None:
    """The first child that is accepted; None if none is. Nothing that is drawn meanwhile is missed afterwards.

    Args:
        training_module: the evaluator's, which holds the supernet.
        supernet: of the children.
        judged: children, the best first.
        accept: is asked about one after the other; None: the first is the one.
    """
    if accept is None:
        return judged[0]
    states = random_state()
    try:
        for each in judged:
            if accept(dict(each.sample), derive_judged(training_module, supernet, each).cpu().eval()):
                return each
    finally:
        set_random_state(states)
    return None
