"""The settings that are tried, each a change of ``snas-nni bench nasbench201``'s."""

from __future__ import annotations

from typing import Any

__all__ = ["TRIALS"]

_EXPONENTIAL = {"temperature_schedule": "exponential"}

TRIALS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "exponential": _EXPONENTIAL,
    # A cell's weights count for nothing here, so no epoch need train one child alone.
    "exponential, all epochs search": {**_EXPONENTIAL, "settle_epochs": 0},
    "skip 0.3 to 60 %": {**_EXPONENTIAL, "auxiliary_skip": 0.3, "auxiliary_skip_gone_at": 0.6},
    # Gone halfway through the temperature's fall: the first is gone before the logits move.
    "skip 0.3 to 82 %": {**_EXPONENTIAL, "auxiliary_skip": 0.3, "auxiliary_skip_gone_at": 0.82},
    "skip 0.3 to 60 %, all epochs search": {
        **_EXPONENTIAL,
        "settle_epochs": 0,
        "auxiliary_skip": 0.3,
        "auxiliary_skip_gone_at": 0.6,
    },
    "drop to 2": {**_EXPONENTIAL, "drop_to": 2},
    "skip and drop": {**_EXPONENTIAL, "auxiliary_skip": 0.3, "auxiliary_skip_gone_at": 0.82, "drop_to": 2},
}
"""By name. All see as many images: 22 epochs of 10,000."""
