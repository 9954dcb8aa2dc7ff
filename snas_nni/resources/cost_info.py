"""The costs that there are: one entry for each, from which budgets, settings, counts and reports follow.

A file without torch, because reports and settings read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from snas_nni.errors import SettingError

if TYPE_CHECKING:
    from snas_nni.resources.operations import Operation

__all__ = ["COSTS", "CostInfo", "counted_costs", "register_cost"]


@dataclass(frozen=True)
class CostInfo:
    """A cost that adds up over the parts of a child.

    Attributes:
        title: in reports.
        meaning: what the number is, for the help of settings, such as "multiply-accumulates for one input".
        unit: in reports, behind the number; empty where the title says it.
        of_operation: what one operation of the network adds to it; None where it is counted in another way, as
            parameters are.
        measured: whether it comes from a table of measured numbers (``SNAS(latency_table=...)``) rather than from a
            count.
    """

    title: str
    meaning: str
    unit: str = ""
    of_operation: Callable[[Operation], float] | None = None
    measured: bool = False


COSTS: dict[str, CostInfo] = {
    "params": CostInfo("Parameters", "parameters"),
    "macs": CostInfo("MACs", "multiply-accumulates for one input", of_operation=attrgetter("cost.macs")),
    "memory_access": CostInfo(
        "Memory access",
        "elements read and written for one input",
        unit="elements",
        of_operation=attrgetter("cost.memory_access"),
    ),
    "latency_ms": CostInfo("Latency", "milliseconds by the latency table", unit="ms", measured=True),
}
"""Every cost by its key, which is its name in budgets, penalties, settings and metrics."""

_TAKEN = ("activation_peak", "unread_params", "target", "tolerance")


def counted_costs() -> list[str]:
    """Keys of the costs that are counted on a network, rather than measured."""
    return [key for key, info in COSTS.items() if not info.measured]


def register_cost(key: str, info: CostInfo) -> None:
    """Add a cost that is counted for each operation.

    It can then be the cost of a :class:`~snas_nni.resources.Budget` or a
    :class:`~snas_nni.resources.ResourcePenalty`. The command line knows it as ``--resources.max_<key>`` if it is
    registered before the settings are read.

    Args:
        key: its name, a Python identifier that no cost has.
        info: with ``of_operation``.

    Raises:
        SettingError: the key cannot be used, or nothing says how the cost is counted.
    """
    if not key.isidentifier() or key in COSTS or key in _TAKEN:
        raise SettingError(
            f"a cost cannot have the key {key!r}: it must be an identifier other than {', '.join([*COSTS, *_TAKEN])}."
        )
    if info.of_operation is None:
        raise SettingError(f"cost {key!r}: give of_operation, which says what one operation adds to it.")
    COSTS[key] = info
