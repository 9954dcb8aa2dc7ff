"""What each candidate costs, C(Z) as a multilinear form, the penalty and the budget."""

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies

from snas_nni.resources.bounds import ChildBounds
from snas_nni.resources.budget import Budget, BudgetController, BudgetReport
from snas_nni.resources.costs import COSTS, CostModel, count_child, count_supernet
from snas_nni.resources.latency import LatencyTable, measure_latency
from snas_nni.resources.operations import Convention, register_operation
from snas_nni.resources.penalty import LEVELS, OFFICIAL_COSTS, ResourcePenalty, penalty_level
from snas_nni.resources.ranking import most_probable_children
from snas_nni.resources.reachable import unreachable
from snas_nni.resources.selection import Selection, cost_range, feasible, most_probable

__all__ = [
    "COSTS",
    "LEVELS",
    "OFFICIAL_COSTS",
    "Budget",
    "BudgetController",
    "BudgetReport",
    "ChildBounds",
    "Convention",
    "CostModel",
    "LatencyTable",
    "ResourcePenalty",
    "Selection",
    "cost_range",
    "count_child",
    "count_supernet",
    "feasible",
    "measure_latency",
    "most_probable",
    "most_probable_children",
    "penalty_level",
    "register_operation",
    "unreachable",
]
