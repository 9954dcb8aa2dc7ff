"""What each candidate costs, C(Z) as a multilinear form, the penalty and the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.cost_model import CostModel
    from snas_nni.resources.budget import Budget, BudgetController, BudgetReport
    from snas_nni.resources.cost_info import COSTS, CostInfo, register_cost
    from snas_nni.resources.costs import count_child, count_supernet
    from snas_nni.resources.latency import LatencyTable, measure_latency
    from snas_nni.resources.operations import Convention, Operation, register_operation
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
    "CostInfo",
    "CostModel",
    "LatencyTable",
    "Operation",
    "ResourcePenalty",
    "Selection",
    "cost_range",
    "count_child",
    "count_supernet",
    "feasible",
    "measure_latency",
    "most_probable",
    "penalty_level",
    "register_cost",
    "register_operation",
]

_HOMES = {
    "COSTS": "cost_info",
    "LEVELS": "penalty",
    "OFFICIAL_COSTS": "penalty",
    "Budget": "budget",
    "BudgetController": "budget",
    "BudgetReport": "budget",
    "Convention": "operations",
    "CostInfo": "cost_info",
    "CostModel": "costs",
    "LatencyTable": "latency",
    "Operation": "operations",
    "ResourcePenalty": "penalty",
    "Selection": "selection",
    "cost_range": "selection",
    "count_child": "costs",
    "count_supernet": "costs",
    "feasible": "selection",
    "measure_latency": "latency",
    "most_probable": "selection",
    "penalty_level": "penalty",
    "register_cost": "cost_info",
    "register_operation": "operations",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
