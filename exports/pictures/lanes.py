"""Which way the lines of a network go: straight down where a row reads the one above it, in a lane beside it else.

Rows stand in the order in which their nodes run. All lines that leave one row share a lane, which is free again below
the last row that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Lane", "lanes_of"]

MOST_LANES = 9


@dataclass(frozen=True)
class Lane:
    """The lines from one row to rows further down.

    Attributes:
        source: number of the row.
        targets: rows that read it, ascending, each with whether the line carries something.
        place: 1 for the lane next to the rows.
    """

    source: int
    targets: tuple[tuple[int, bool], ...]
    place: int

    @property
    def last(self) -> int:
        """The last row that reads the source."""
        return self.targets[-1][0]

    @property
    def last_used(self) -> int:
        """The last row that a line which carries something leads to; the source itself if there is none."""
        return max((target for target, used in self.targets if used), default=self.source)


def lanes_of(edges: Sequence[Mapping[int, bool]]) -> list[Lane]:
    """Give a lane to every row that is read by one that is not the next.

    Args:
        edges: for each row, the earlier rows that it reads, with whether the line carries something.

    Returns:
        Lanes by source; no two that stand beside the same rows have the same place, as long as there are at most 9.
    """
    targets: dict[int, list[tuple[int, bool]]] = {}
    for target, sources in enumerate(edges):
        for source, used in sources.items():
            if source != target - 1:
                targets.setdefault(source, []).append((target, used))
    ends: list[int] = []  # of each place, the row where it is free again
    lanes = []
    for source in sorted(targets):
        last = targets[source][-1][0]
        place = next((index for index, end in enumerate(ends) if end <= source), len(ends))
        if place == len(ends) and len(ends) < MOST_LANES:
            ends.append(last)
        place = min(place, MOST_LANES - 1)
        ends[place] = max(ends[place], last)
        lanes.append(Lane(source, tuple(targets[source]), place + 1))
    return lanes
