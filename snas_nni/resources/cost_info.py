"""The costs that there are: one entry for each, from which budgets, settings, counts and reports follow.

A file without torch, because reports and settings read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING

from snas_nni.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from snas_nni.resources.operations import Operation

__all__ = ["COSTS", "CostInfo", "counted_costs", "register_cost"]


@dataclass(frozen=True)
class CostInfo:
    """A cost of a child.

    Attributes:
        title: in reports.
        meaning: what the number is, for the help of settings, such as "multiply-accumulates for one input".
        unit: in reports, behind the number; empty where the title says it.
        of_operation: what one operation of the network adds to it; None where it is counted in another way.
        of_parameter: what one parameter of the network, a tensor, adds to it; None where it is counted in another way.
        measured: whether it comes from a table of measured numbers (``SNAS(latency_table=...)``) rather than from a
            count.
        maximum: whether it is the largest over the operations rather than a sum over the parts of a child. A budget
            can bound it; it has no expectation, so no penalty can be of it.
    """

    title: str
    meaning: str
    unit: str = ""
    of_operation: Callable[[Operation], float] | None = None
    of_parameter: Callable[[Tensor], float] | None = None
    measured: bool = False
    maximum: bool = False


def _int8_bytes(parameter: Tensor) -> float:
    # Biases and the factors of a normalization stay at 32 bits in a quantized network.
    return (1.0 if parameter.dim() > 1 else 4.0) * parameter.numel()


COSTS: dict[str, CostInfo] = {
    "params": CostInfo("Parameters", "parameters", of_parameter=methodcaller("numel")),
    "macs": CostInfo("MACs", "multiply-accumulates for one input", of_operation=attrgetter("cost.macs")),
    "memory_access": CostInfo(
        "Memory access",
        "elements read and written for one input",
        unit="elements",
        of_operation=attrgetter("cost.memory_access"),
    ),
    "latency_ms": CostInfo("Latency", "milliseconds by the latency table", unit="ms", measured=True),
    "activation_peak": CostInfo(
        "Activation peak",
        "elements that the largest operation reads and writes",
        unit="elements",
        maximum=True,
    ),
    "float32_bytes": CostInfo(
        "Weights at 32 bits",
        "bytes of the weights as stored at 32 bits",
        unit="bytes",
        of_parameter=lambda parameter: 4.0 * parameter.numel(),
    ),
    "int8_bytes": CostInfo(
        "Weights at 8 bits",
        "bytes of the weights at 8 bits, biases and norms at 32",
        unit="bytes",
        of_parameter=_int8_bytes,
    ),
}
"""Every cost by its key, which is its name in budgets, penalties, settings and metrics."""

_TAKEN = ("unread_params", "target", "tolerance", "exclude", "pull")


def counted_costs() -> list[str]:
    """Keys of the costs that add up over a network and are counted on it, rather than measured."""
    return [key for key, info in COSTS.items() if not (info.measured or info.maximum)]


def register_cost(key: str, info: CostInfo) -> None:
    """Add a cost that is counted for each operation, or for each parameter.

    It can then be the cost of a :class:`~snas_nni.resources.Budget` or a
    :class:`~snas_nni.resources.ResourcePenalty`. The command line knows it as ``--resources.max_<key>`` if it is
    registered before the settings are read.

    Args:
        key: its name, a Python identifier that no cost has.
        info: with ``of_operation`` or ``of_parameter``.

    Raises:
        SettingError: the key cannot be used, or nothing says how the cost is counted.
    """
    if not key.isidentifier() or key in COSTS or key in _TAKEN:
        raise SettingError(
            f"a cost cannot have the key {key!r}: it must be an identifier other than {', '.join([*COSTS, *_TAKEN])}."
        )
    if info.of_operation is None and info.of_parameter is None:
        raise SettingError(f"cost {key!r}: give of_operation or of_parameter, which says what one of them adds to it.")
    COSTS[key] = info
