"""Which candidates no child within the bounds can contain, found exactly: one question to the solver for each.

A choice that is nested in another one (in a block of a ``Repeat``) is asked about once more: a candidate that children
within the bounds have only where they do not have the choice at all makes no difference to any of them, so it is left
out too. Otherwise steps would be spent on deeper networks with it, which are beyond the bounds.

A child that answers one question contains a candidate of every label, so it answers those of all of them; each
question asks for a child with as many candidates as possible that no earlier answer had.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

import numpy as np

from snas_nni.cost_model import CostModel
from snas_nni.resources.solver.program import OutOfTimeError, Program

__all__ = ["unreachable"]

_REACHED = "reached"
SECONDS = 30.0
"""Time limit of all questions together."""

_logger = logging.getLogger(__name__)


def unreachable(
    model: CostModel, bounds: Mapping[str, tuple[float, float]], seconds: float = SECONDS
) -> dict[str, tuple[int, ...]]:
    """Candidates that no child within ``bounds`` runs, as indices by label; labels without any are left out.

    Nothing is in it that makes a difference to a child within the bounds. Where the solver runs out of time, a
    candidate that could be in it is not, and a warning says so.

    Args:
        model: gives the costs.
        bounds: lowest and highest allowed value of each bounded cost, by name. At least one child lies within them.
        seconds: time limit.
    """
    deadline = time.monotonic() + seconds
    excluded, unknown = _never_had(model, bounds, deadline)
    for label in model.reached:
        if len(excluded.get(label, ())) == len(model.choices[label].candidates) - 1:
            continue
        nested = model.with_costs({_REACHED: {None: model.reached[label]}})
        unread, more = _never_had(nested, {**bounds, _REACHED: (0.5, math.inf)}, deadline, label)
        unknown += more
        if len(unread.get(label, ())) < len(model.choices[label].candidates):  # else no child has this choice
            excluded |= unread
    if unknown:
        _logger.warning(
            "%d candidates may exceed the budget in every child; that was not decided in %g s, so they stay in the "
            "search",
            unknown,
            seconds,
        )
    return excluded


def _never_had(
    model: CostModel, bounds: Mapping[str, tuple[float, float]], deadline: float, only: str | None = None
) -> tuple[dict[str, tuple[int, ...]], int]:
    """Candidates, of one label or of all, that no child within ``bounds`` has; and how many were not decided."""
    program = Program(model, list(bounds))
    labels = [label for label in program.labels if only in (None, label)]
    entries = [(label, index) for label in labels for index in range(program.sizes[label])]
    reached: set[tuple[str, int]] = set()
    excluded: dict[str, list[int]] = {}
    unknown = 0
    for entry in entries:
        if entry in reached:
            continue
        objective = np.zeros(len(program.column))
        for other in entries:
            if other not in reached:
                objective[program.column[other]] = -1.0
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise OutOfTimeError("no time is left")
            chosen = program.solve_within(model, bounds, objective, [program.having(*entry)], seconds=left)
        except OutOfTimeError:
            unknown += 1
            continue
        if chosen is not None:
            reached.update(chosen.items())
        elif program.is_proven:
            excluded.setdefault(entry[0], []).append(entry[1])
        else:
            unknown += 1
    return {label: tuple(indices) for label, indices in excluded.items()}, unknown
