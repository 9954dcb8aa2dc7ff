"""A setting for the upper bound on each cost that there is."""

from __future__ import annotations

from typing import Any, TypeVar

from snas_nni.ranges import require
from snas_nni.resources import COSTS, Bound
from snas_nni.resources.share import checked_bound

__all__ = ["MEASURED_BOUNDS", "given_bounds", "measured_bounds", "with_cost_bounds"]

MEASURED_BOUNDS = {
    "live_peak": "elements of activations alive at once in the exported graph, weights excluded",
    "int8_loss": "validation accuracy lost by quantizing to 8 bits, a share",
}
"""What can be bounded but only be measured on a child: no linear form of the choices gives it."""

Group = TypeVar("Group")
_PLACE = "        (a bound for each cost)\n"


def with_cost_bounds(group: type[Group]) -> type[Group]:
    """Give a group of settings, not yet a dataclass, a field ``max_<cost>`` for each cost.

    They and their meanings stand where the docstring says so.
    """
    lines = (group.__doc__ or "").partition(_PLACE)
    before = [name for name in group.__annotations__ if f"        {name}: " in lines[0]]
    annotations = {name: group.__annotations__[name] for name in before}
    annotations |= {f"max_{cost}": "float | str | None" for cost in COSTS}
    group.__annotations__ = annotations | group.__annotations__
    for cost in COSTS:
        setattr(group, f"max_{cost}", None)
    meanings = (f"        max_{cost}: bound on {info.meaning}, or 60%; null\n" for cost, info in COSTS.items())
    group.__doc__ = "".join([lines[0], *meanings, lines[2]])
    return group


def given_bounds(group: Any) -> dict[str, Bound | None]:
    """Return the bound on each cost, or None, from such a group.

    Raises:
        SettingError: a bound is no positive number and no share.
    """
    found: dict[str, Bound | None] = {}
    for cost in COSTS:
        key, bound = f"resources.max_{cost}", getattr(group, f"max_{cost}")
        if not isinstance(bound, str):
            require(key, bound, above=0)
        found[cost] = None if bound is None else checked_bound(key, bound)
    return found


def measured_bounds(resources: Any) -> dict[str, float]:
    """Return those of :data:`MEASURED_BOUNDS` that a group of settings sets, by name."""
    given = {name: getattr(resources, f"max_{name}") for name in MEASURED_BOUNDS}
    return {name: bound for name, bound in given.items() if bound is not None}
