"""What was wanted, as every page of results shows it; short, since it is the one thing that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["goal_table"]


def goal_table(goals: Sequence[dict[str, Any]], digits: str = ".3g") -> list[str]:
    """Return the lines of the table of a result's goals.

    Args:
        goals: each with ``name``, ``wanted``, ``measured`` and ``met``.
        digits: how a measured number is written; words stay as they are.
    """
    lines = ["| goal | wanted | measured | met |", "|---|---|---|---|"]
    for goal in goals:
        measured = goal["measured"]
        shown = measured if isinstance(measured, str) else format(measured, digits)
        lines.append(f"| {goal['name']} | {goal['wanted']} | {shown} | {'yes' if goal['met'] else 'no'} |")
    return lines
