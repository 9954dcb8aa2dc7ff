"""What one tensor operation costs, and how to teach the counter another one."""

from snas_nni.resources.operations.cost import (
    Convention,
    Operation,
    OperationCost,
    cost_of_operation,
    is_free_by_kind,
    is_normalization,
    register_operation,
)

__all__ = [
    "Convention",
    "Operation",
    "OperationCost",
    "cost_of_operation",
    "is_free_by_kind",
    "is_normalization",
    "register_operation",
]
