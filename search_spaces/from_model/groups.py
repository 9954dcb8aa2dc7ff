"""Groups of channels that can only be cut together, and the axes of tensors that are made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Axis", "Group", "Groups", "Segment"]


@dataclass(frozen=True)
class Segment:
    """A run of neighboring indices of one dimension.

    Attributes:
        size: number of indices in the given model.
        group: the group whose channels they are; None for indices that are there in every child.
        repeat: indices for each channel: channel c has the indices c * repeat to (c + 1) * repeat - 1.
    """

    size: int
    group: int | None = None
    repeat: int = 1


Axis = tuple[Segment, ...]
"""What a dimension is made of; None in its place for a dimension that no choice concerns."""


@dataclass
class Group:
    """Channels that all layers of the group have in common.

    Attributes:
        size: how many there are in the given model.
        origin: path of the first layer that makes them.
        block: channels that stay together: a child has a multiple of it.
        fixed: why they cannot be cut; empty if they can.
    """

    size: int
    origin: str
    block: int = 1
    fixed: str = ""
    makers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.makers = self.makers or [self.origin]


class Groups:
    """All groups of a model. Joining two makes them one (union-find)."""

    def __init__(self) -> None:
        self._groups: list[Group] = []
        self._parents: list[int] = []

    def new(self, size: int, origin: str) -> Axis:
        """Make a group; return the axis that consists of it."""
        self._groups.append(Group(size, origin))
        self._parents.append(len(self._parents))
        return (Segment(size, len(self._parents) - 1),)

    def root(self, index: int) -> int:
        """The group that stands for all that were joined with this one."""
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = self._parents[index]
        return index

    def __getitem__(self, index: int) -> Group:
        return self._groups[self.root(index)]

    def roots(self) -> list[int]:
        """The groups that are left, in the order in which their first layers ran."""
        return [index for index, parent in enumerate(self._parents) if index == parent]

    def roots_of(self, axis: Axis | None) -> list[int]:
        """The groups of an axis, each once, in order."""
        return list(dict.fromkeys(self.root(s.group) for s in axis or () if s.group is not None))

    def join(self, first: int, second: int) -> None:
        """Let two groups of equal size be one."""
        first, second = sorted((self.root(first), self.root(second)))
        if first == second:
            return
        kept, gone = self._groups[first], self._groups[second]
        self._parents[second] = first
        kept.block = math.lcm(kept.block, gone.block)
        kept.fixed = kept.fixed or gone.fixed
        kept.makers = list(dict.fromkeys([*kept.makers, *gone.makers]))

    def fix(self, axis: Axis | None, reason: str) -> None:
        """Keep all channels of an axis, for a reason; the first one that was given counts."""
        for index in self.roots_of(axis):
            self._groups[index].fixed = self._groups[index].fixed or reason

    def align(self, axes: Sequence[Axis | None], reason: str) -> Axis | None:
        """Let equal dimensions of several tensors stay equal; return what they then are.

        Args:
            axes: of dimensions of one size; None for a tensor that keeps its size.
            reason: what is said of groups that have to be fixed for it.
        """
        known = [axis for axis in axes if axis is not None]
        if not known:
            return None
        first = known[0]
        for other in known[1:]:
            if [(s.size, s.repeat) for s in other] != [(s.size, s.repeat) for s in first]:
                for axis in known:
                    self.fix(axis, f"{reason}, whose channels are put together otherwise")
                return first
            for mine, its in zip(first, other, strict=True):
                if mine.group is not None and its.group is not None:
                    self.join(mine.group, its.group)
                else:
                    self.fix((mine, its), reason)
        if len(known) < len(axes):
            self.fix(first, reason)
        return first

    def repeated(self, axis: Axis, times: int) -> Axis:
        """The axis of a flattened image: every channel has ``times`` indices more."""
        return tuple(Segment(s.size * times, s.group, s.repeat * times) for s in axis)

    def keep_together(self, axis: Axis, indices: int) -> bool:
        """Let every ``indices`` neighbors of an axis stay together; tell whether that is possible."""
        if len(axis) != 1 or axis[0].group is None:
            return False
        segment = axis[0]
        group = self[axis[0].group]
        block = indices // math.gcd(indices, segment.repeat)
        group.block = math.lcm(group.block, block)
        return group.size % group.block == 0
