"""Which points no other point beats."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["pareto_front"]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other point beats, cheapest first.

    A point beats another if it costs no more and is at least as accurate, and one of the two is strict. Equal
    points do not beat each other.

    Args:
        points: ``(cost, accuracy)`` each; less of the first and more of the second is better.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front
