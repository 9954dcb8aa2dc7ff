"""Dropping weak candidates on a schedule: from then on the distribution is the one of what is left.

Sources: Chen et al., Progressive DARTS (ICCV 2019, arXiv 1904.12760), which goes on with the best candidates of each
edge, stage by stage; Chen et al., DrNAS (ICLR 2021, arXiv 2006.10355), whose progressive learning prunes operations of
small weight; He et al., IS-DARTS (AAAI 2024, arXiv 2312.12648), which drops the least important ones step by step. The
measure of weakness here is the probability.

A dropped candidate has probability 0: no child has it, it does not run, costs nothing, and its weights and logits rest.
So the search goes on as one of the smaller space, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snas_nni.errors import SettingError
from snas_nni.ranges import require

if TYPE_CHECKING:  # settings are checked by this file, and plain help should not wait for torch
    from snas_nni.distribution.architecture_distribution import ArchitectureDistribution

__all__ = ["Dropping"]


@dataclass(frozen=True)
class Dropping:
    """How many candidates each choice of one has left at each moment, and which these are.

    Choices of several inputs keep all of them.

    Args:
        keep: candidates that are left at the end, at least 1; None drops nothing.
        start: how far in the temperature's fall the first one may be dropped, in [0, 1]; never in its first epoch.
        end: from where on no more are, above 0, in [start, 1].

    Raises:
        SettingError: a value outside its range.

    Examples:
        >>> dropping = Dropping(keep=2, start=0.2, end=0.8)
        >>> [dropping.left(8, progress) for progress in (0, 0.2, 0.4, 0.5, 0.8, 1)]
        [8, 8, 6, 5, 2, 2]
    """

    keep: int | None = None
    start: float = 0.2
    end: float = 0.8

    def __post_init__(self) -> None:
        require("drop_to", self.keep, at_least=1, whole=True)
        require("drop_start", self.start, at_least=0, at_most=1)
        require("drop_end", self.end, above=0, at_most=1)
        if self.end < self.start:
            raise SettingError(f"drop_end is {self.end}, but must be at least drop_start, which is {self.start}")

    def left(self, candidates: int, progress: float) -> int:
        """How many of a choice's candidates are left, falling linearly between start and end.

        Args:
            candidates: of the choice, at least 1.
            progress: of the temperature's fall, in [0, 1].
        """
        if self.keep is None or candidates <= self.keep or progress < self.start:
            return candidates
        if progress >= self.end:
            return self.keep
        done = (progress - self.start) / (self.end - self.start)
        # A sum of tenths must not leave one candidate more than the fraction that it stands for.
        return self.keep + math.ceil((candidates - self.keep) * (1 - done) - 1e-9)

    def excluded(
        self, distribution: ArchitectureDistribution, progress: float, child: Callable[[], Mapping[str, Any]]
    ) -> dict[str, tuple[int, ...]]:
        """What no child may have from now on: what was excluded before, and the least probable ones beyond.

        Args:
            distribution: of the search; it is not changed.
            progress: of the temperature's fall, in [0, 1].
            child: returns the NNI sample of the most probable child within the budget, whose candidates all stay. It
                is asked only if something is to be dropped, since a solver may have to look for it.

        Returns:
            Indices of categories by label.
        """
        from snas_nni.distribution.choices import OneOf, chosen_categories  # needs torch; settings only check numbers

        found = dict(distribution.excluded)
        chosen: Mapping[str, Any] | None = None
        for label, choice in distribution.choices.items():
            size = len(choice.candidates)
            too_many = size - len(found.get(label, ())) - self.left(size, progress)
            if not isinstance(choice, OneOf) or too_many <= 0:
                continue
            if chosen is None:
                chosen = child()
            (needed,) = chosen_categories(choice, chosen)
            logits = distribution.rows_of(label)[0].tolist()
            weakest = sorted(range(size), key=logits.__getitem__)  # of equal ones the first goes
            droppable = [index for index in weakest if index not in (needed, *found.get(label, ()))]
            found[label] = tuple(sorted((*found.get(label, ()), *droppable[:too_many])))
        return found
