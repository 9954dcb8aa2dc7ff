"""Which children to measure so that what each part of the space takes can be told from whole children.

A child that is measured tells the sum of its parts. The first children are chosen one after the other, each the one
among many random ones that tells most about what those before it leave open: the one with the largest variance under
the ridge regression on the parts of the children chosen so far (a D-optimal design). So every part that any child has
apart from others is told apart, the rare ones in nested choices too. Further children are drawn at random: they are
not used for the fit but to say how well it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snas_nni.cost_model import CostModel
from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.resources.latency.drawing import random_children
from snas_nni.resources.latency.parts import Part

__all__ = ["designed_children", "values_of"]

_POOL, _FEWEST = 4000, 100
_EASE = 1e-3
"""Of the ridge regression whose variances the design looks at."""


def designed_children(
    parts: Sequence[Part],
    costs: CostModel,
    choices: Mapping[str, Choice],
    count: int | None = None,
    seed: int = 0,
    alive: Polynomial = ONE,
) -> list[dict[str, Any]]:
    """Return the children to fit a table to.

    Args:
        parts: of the space.
        costs: of the space; gives the candidate that a sample chooses.
        choices: of the space.
        count: how many; None for twice as many as there are parts that can be told apart, 100 at least. Fewer are
            returned where the space has fewer.
        seed: of the children to choose from.
        alive: 1 for children whose output depends on their input. The others take next to no time, so that errors
            relative to it would decide the whole fit, and nobody deploys them: they are left out where there are any
            others.
    """
    drawn = random_children(choices, _POOL, seed)
    pool = [sample for sample in drawn if alive.value(costs.indices(sample)) > 0.5] or drawn
    rows = values_of(parts, costs, pool)
    wanted = count if count is not None else max(_FEWEST, 2 * int(np.linalg.matrix_rank(rows)))
    scale = np.maximum(np.abs(rows).max(axis=0), 1.0)
    rows = rows / scale
    inverse = np.eye(rows.shape[1]) / _EASE
    variance = (rows**2).sum(axis=1) / _EASE
    chosen = []
    for _ in range(min(wanted, len(pool))):
        best = int(np.argmax(variance))
        chosen.append(pool[best])
        turned = inverse @ rows[best] / np.sqrt(1 + rows[best] @ inverse @ rows[best])
        inverse -= np.outer(turned, turned)
        variance -= (rows @ turned) ** 2
        variance[best] = -np.inf
    return chosen


def values_of(parts: Sequence[Part], costs: CostModel, samples: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return how often each child has each part, shape ``(children, parts)``."""
    chosen = [costs.indices(sample) for sample in samples]
    labels = {label for part in parts for term in part.condition.terms for label, _ in term}
    index = {label: np.array([each[label] for each in chosen]) for label in labels}
    found = np.zeros((len(samples), len(parts)))
    for column, part in enumerate(parts):
        for term, value in part.condition.terms.items():
            has = np.ones(len(samples), dtype=bool)
            for label, candidate in term:
                has &= index[label] == candidate
            found[:, column] += value * has
    return found
