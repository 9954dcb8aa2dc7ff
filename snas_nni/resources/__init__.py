"""What each candidate costs, C(Z) as a multilinear form, the penalty and the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.cost_model import CostModel
    from snas_nni.resources.budget import Budget, BudgetReport
    from snas_nni.resources.budget_controller import BudgetController
    from snas_nni.resources.cost_info import COSTS, CostInfo, register_cost
    from snas_nni.resources.costs import count_child, count_supernet
    from snas_nni.resources.latency.eager import measure_latency
    from snas_nni.resources.latency.table import LatencyTable
    from snas_nni.resources.operations import Convention, Operation, register_operation
    from snas_nni.resources.penalty import LEVELS, OFFICIAL_COSTS, ResourcePenalty, penalty_level
    from snas_nni.resources.share import Bound, Share
    from snas_nni.resources.solver.bounds import ChildBounds
    from snas_nni.resources.solver.ranking import most_probable_children
    from snas_nni.resources.solver.reachable import unreachable
    from snas_nni.resources.solver.selection import Selection, cost_range, feasible, most_probable
    from snas_nni.resources.sweep import Sweep

__all__ = [
    "COSTS",
    "LEVELS",
    "OFFICIAL_COSTS",
    "Bound",
    "Budget",
    "BudgetController",
    "BudgetReport",
    "ChildBounds",
    "Convention",
    "CostInfo",
    "CostModel",
    "LatencyTable",
    "Operation",
    "ResourcePenalty",
    "Selection",
    "Share",
    "Sweep",
    "cost_range",
    "count_child",
    "count_supernet",
    "feasible",
    "measure_latency",
    "most_probable",
    "most_probable_children",
    "penalty_level",
    "register_cost",
    "register_operation",
    "unreachable",
]

_HOMES = {
    "COSTS": "cost_info",
    "LEVELS": "penalty",
    "OFFICIAL_COSTS": "penalty",
    "Bound": "share",
    "Budget": "budget",
    "BudgetController": "budget_controller",
    "BudgetReport": "budget",
    "ChildBounds": "solver.bounds",
    "Convention": "operations",
    "CostInfo": "cost_info",
    "CostModel": "costs",
    "LatencyTable": "latency.table",
    "Operation": "operations",
    "ResourcePenalty": "penalty",
    "Selection": "solver.selection",
    "Share": "share",
    "Sweep": "sweep",
    "cost_range": "solver.selection",
    "count_child": "costs",
    "count_supernet": "costs",
    "feasible": "solver.selection",
    "measure_latency": "latency.eager",
    "most_probable": "solver.selection",
    "most_probable_children": "solver.ranking",
    "penalty_level": "penalty",
    "register_cost": "cost_info",
    "register_operation": "operations",
    "unreachable": "solver.reachable",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
