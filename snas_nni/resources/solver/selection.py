"""The most probable child whose costs lie within bounds, found exactly by mixed-integer programming.

Maximises sum over labels of log p(Z_label) over one-hot Z, subject to lower <= C(Z) <= upper
(:mod:`snas_nni.resources.solver.program`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import LinearConstraint

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.resources.solver.program import OUT_OF_TIME, OutOfTimeError, Program, common_unit

__all__ = ["Selection", "cost_range", "dearest_found", "feasible", "most_probable", "objective_of"]

RANGE_SECONDS = 5.0
"""Time limit of the search for one end of the range of costs."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """A child within bounds.

    Attributes:
        sample: its NNI sample.
        log_probability_given_up: log-probability of the mode minus that of this child, in nats, >= 0.
    """

    sample: dict[str, Any]
    log_probability_given_up: float


def cost_range(model: CostModel, name: str) -> tuple[float, float]:
    """Cost of the cheapest and of the dearest child of the space.

    Where the solver runs out of time, all children lie between the two, and a warning tells that none may reach them.
    """
    program = Program(model, [name])
    polynomial = model.polynomials[name]
    row, constant = program.coefficients(polynomial)
    if not row:
        return constant, constant
    objective = np.zeros(len(program.column))
    unit = common_unit(row.values()) or 1e-3 * max(abs(value) for value in row.values())
    for column, value in row.items():
        objective[column] = value / unit
    ends = []
    for sign in (1.0, -1.0):
        result = program.optimise(objective * sign, [], RANGE_SECONDS)
        if result.status == OUT_OF_TIME or result.x is None:
            _logger.warning(
                "%s: the range of costs was not found in %g s; it is inside what is told", name, RANGE_SECONDS
            )
            proven = result.mip_dual_bound
            beyond = sum(max(0.0, -sign * value) for value in row.values())  # what no child can go beyond
            least = max(-beyond, proven * unit if proven is not None else -math.inf)
            ends.append(max(0.0, constant + sign * least))  # no cost is negative
        else:
            ends.append(polynomial.value(program.chosen(result.x)))
    return ends[0], ends[1]


def dearest_found(model: CostModel, name: str) -> float:
    """Cost of the dearest child of the space; where the solver runs out of time, of the dearest one that is known.

    That is no less than what the child of every label's first candidate costs: of a space that is made from a network,
    that child is the network. So a share of it is met by no child that is above the share.
    """
    program = Program(model, [name])
    polynomial = model.polynomials[name]
    row, constant = program.coefficients(polynomial)
    if not row:
        return constant
    objective = np.zeros(len(program.column))
    unit = common_unit(row.values()) or 1e-3 * max(abs(value) for value in row.values())
    for column, value in row.items():
        objective[column] = -value / unit
    found = program.optimise(objective, [], RANGE_SECONDS).x
    children = [dict.fromkeys(program.labels, 0), *([] if found is None else [program.chosen(found)])]
    return max(map(polynomial.value, children))


def feasible(model: CostModel, bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether any child's costs lie within ``bounds`` (lowest and highest allowed value, by name).

    True also where that is not known in time.
    """
    program = Program(model, list(bounds))
    if not program.labels:
        return program.within(model, bounds) is not None
    try:
        return program.solve_within(model, bounds, np.zeros(len(program.column))) is not None
    except OutOfTimeError:
        return True


def most_probable(
    distribution: ArchitectureDistribution,
    model: CostModel,
    bounds: Mapping[str, tuple[float, float]],
) -> Selection | None:
    """The most probable child whose costs lie within ``bounds``.

    Args:
        distribution: gives the probabilities.
        model: gives the costs.
        bounds: lowest and highest allowed value of each bounded cost, by name.

    Returns:
        The child, or None if no child lies within all bounds.

    Raises:
        SnasError: none was found in time.
    """
    program = Program(model, list(bounds))
    mode = distribution.mode()
    if not program.labels:
        return None if program.within(model, bounds) is None else Selection(mode, 0.0)
    objective, log_probabilities, allowed = objective_of(distribution, program)
    chosen = program.solve_within(model, bounds, objective, allowed)
    if chosen is None:
        return None
    sample = {**mode, **{label: model.choices[label].value([index]) for label, index in chosen.items()}}
    given_up = sum(max(log_probabilities[label]) - log_probabilities[label][index] for label, index in chosen.items())
    return Selection(sample, given_up)


def objective_of(
    distribution: ArchitectureDistribution, program: Program
) -> tuple[np.ndarray[Any, Any], dict[str, list[float]], list[LinearConstraint]]:
    """What makes the solver look for the most probable child.

    Returns:
        The objective to minimise, the log-probabilities of each label's candidates, and the constraints that keep out
        what the distribution excludes.
    """
    log_probabilities = {
        label: torch.log_softmax(distribution.rows_of(label).detach().double(), -1)[0].tolist()
        for label in program.labels
    }
    objective = np.zeros(len(program.column))
    excluded = []
    for label, values in log_probabilities.items():
        for index, value in enumerate(values):
            if value == -math.inf:
                excluded.append((label, index))
            else:
                objective[program.column[(label, index)]] = -value
    return objective, log_probabilities, program.lacking(excluded)
