"""What each candidate costs, C(Z) as a multilinear form, the penalty and the budget."""

from snas_nni.resources.budget import Budget, BudgetController, BudgetReport
from snas_nni.resources.costs import COSTS, CostModel, count_child, count_supernet
from snas_nni.resources.latency import LatencyTable, measure_latency
from snas_nni.resources.operations import Convention, register_operation
from snas_nni.resources.penalty import LEVELS, OFFICIAL_COSTS, ResourcePenalty, penalty_level
from snas_nni.resources.selection import Selection, cost_range, feasible, most_probable

__all__ = [
    "COSTS",
    "LEVELS",
    "OFFICIAL_COSTS",
    "Budget",
    "BudgetController",
    "BudgetReport",
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
    "penalty_level",
    "register_operation",
]
