"""Which candidates no child within the bounds can contain, found exactly: one question to the solver for each.

A child that answers one question contains a candidate of every label, so it answers those of all of them; each
question asks for a child with as many candidates as possible that no earlier answer had.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np

from snas_nni.cost_model import CostModel
from snas_nni.resources.solver.program import OutOfTimeError, Program

__all__ = ["unreachable"]

SECONDS = 30.0
"""Time limit of all questions together."""

_logger = logging.getLogger(__name__)


def unreachable(
    model: CostModel, bounds: Mapping[str, tuple[float, float]], seconds: float = SECONDS
) -> dict[str, tuple[int, ...]]:
    """Candidates that no child within ``bounds`` contains, as indices by label; labels without any are left out.

    Nothing is in it that a child within the bounds has. Where the solver runs out of time, a candidate that could be
    in it is not, and a warning says so.

    Args:
        model: gives the costs.
        bounds: lowest and highest allowed value of each bounded cost, by name. At least one child lies within them.
        seconds: time limit.
    """
    program = Program(model, list(bounds))
    entries = [(label, index) for label in program.labels for index in range(program.sizes[label])]
    reached: set[tuple[str, int]] = set()
    excluded: dict[str, list[int]] = {}
    start, unknown = time.monotonic(), 0
    for entry in entries:
        if entry in reached:
            continue
        objective = np.zeros(len(program.column))
        for other in entries:
            if other not in reached:
                objective[program.column[other]] = -1.0
        left = seconds - (time.monotonic() - start)
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
    if unknown:
        _logger.warning(
            "%d candidates may exceed the budget in every child; that was not decided in %g s, so they stay in the "
            "search",
            unknown,
            seconds,
        )
    return {label: tuple(indices) for label, indices in excluded.items()}
