"""The settings that are tried, each a change of ``snas-nni bench nasbench201``'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TRIALS", "Trial"]


@dataclass(frozen=True)
class Trial:
    """What is different.

    Attributes:
        search: settings of the search.
        space: ``channels`` and ``cells_per_stage`` of the network that is searched in.
        finalists: of so many most probable cells the judge takes the best.
        climbs: cells that are measured on the way from the found one to better ones; 0: it stays.
    """

    search: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, int] = field(default_factory=dict)
    finalists: int = 1
    climbs: int = 0


_EXPONENTIAL = {"temperature_schedule": "exponential"}
# A cell's weights count for nothing here, so no epoch need train one child alone.
_UNSETTLED = {**_EXPONENTIAL, "settle_epochs": 0}
_SKIP = {"auxiliary_skip": 0.3, "auxiliary_skip_gone_at": 0.6}

TRIALS: dict[str, Trial] = {
    "defaults": Trial(),
    "exponential": Trial(_EXPONENTIAL),
    "exponential without settling": Trial(_UNSETTLED),
    # The benchmark's networks have fifteen cells, where a path around a cell counts for more than in three.
    "nine narrow cells": Trial(_UNSETTLED, {"cells_per_stage": 3, "channels": 8}),
    "skip 0.3 to 60 %": Trial({**_EXPONENTIAL, **_SKIP}),
    # Gone halfway through the temperature's fall: the first is gone before the logits move.
    "skip 0.3 to 82 %": Trial({**_EXPONENTIAL, **_SKIP, "auxiliary_skip_gone_at": 0.82}),
    "skip 0.3 to 60 % without settling": Trial({**_UNSETTLED, **_SKIP}),
    # The large budget: up to two hours on one core.
    "eight finalists": Trial(finalists=8),
    "thirty cells from there": Trial(_UNSETTLED, climbs=30),
    "drop to 2": Trial({**_EXPONENTIAL, "drop_to": 2}),
    "skip and drop": Trial({**_EXPONENTIAL, **_SKIP, "auxiliary_skip_gone_at": 0.82, "drop_to": 2}),
}
"""By name. All searches see as many images: 22 epochs of 10,000; each finalist sees eight epochs of 40,000,
each cell on a climb four of 5,000, in the benchmark's depth."""
