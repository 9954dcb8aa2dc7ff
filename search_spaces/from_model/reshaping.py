"""What a dimension is after ``view``, ``reshape`` or ``flatten``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .groups import Axis, Groups

__all__ = ["reshaped"]


def reshaped(
    groups: Groups, axes: Sequence[Axis | None], before: Sequence[int], after: Sequence[int], reason: str
) -> list[Axis | None]:
    """Carry axes over from one shape to another of as many elements.

    Channels that come first in what is flattened become runs of indices. Where they are split, or come later, their
    number has to stay.

    Args:
        groups: of the model.
        axes: of the dimensions of ``before``.
        before: the shape.
        after: the new shape.
        reason: what is said of groups that have to be fixed.
    """
    result: list[Axis | None] = [None] * len(after)
    old = [place for place, size in enumerate(before) if size != 1]
    new = [place for place, size in enumerate(after) if size != 1]
    while old and new:
        sources, targets = [old.pop(0)], [new.pop(0)]
        while (left := _product(before, sources)) != (right := _product(after, targets)):
            if left < right:
                sources.append(old.pop(0))
            else:
                targets.append(new.pop(0))
        first, *others = (axes[place] for place in sources)
        if len(targets) > 1:
            others.append(first)
        elif first is not None:
            result[targets[0]] = groups.repeated(first, _product(before, sources[1:]))
        for axis in others:
            groups.fix(axis, reason)
    return result


def _product(shape: Sequence[int], places: Sequence[int]) -> int:
    return math.prod(shape[place] for place in places)
