"""Bounds as shares of what the dearest child costs: ``"60%"``. A file without torch, because settings read it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from snas_nni.errors import SettingError
from snas_nni.files import readable

__all__ = ["Bound", "Share", "checked_bound"]

_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*")


@dataclass(frozen=True)
class Share:
    """A bound as a share of what the dearest child of the space costs.

    Of a space that was made from a network, the dearest child is that network.

    Attributes:
        percent: above 0 and at most 100.
    """

    percent: float

    def of(self, dearest: float) -> float:
        """Return the bound, where the dearest child costs ``dearest``."""
        return dearest * self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent:g}%"


Bound = float | Share
"""A number, or a share of the dearest child's cost."""


def checked_bound(key: str, value: Any) -> Bound:
    """Return the bound that a value means: a positive number as it is, or a text such as ``"60%"``.

    Args:
        key: of the bound, for the message.
        value: of the bound.

    Raises:
        SettingError: it is neither, or outside its range.
    """
    if isinstance(value, Share):
        share: Share | None = value
    else:
        found = _FORM.fullmatch(value) if isinstance(value, str) else None
        share = None if found is None else Share(float(found.group(1)))
    if share is not None:
        if not 0 < share.percent <= 100:
            raise SettingError(f"{key} is {share}, but must be above 0% and at most 100% of the dearest child's cost")
        return share
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SettingError(
            f"{key} is {readable(value)}, but must be a number or a share of the dearest child, like 60%"
        )
    if not 0 < value < math.inf:
        raise SettingError(f"{key} must be positive and finite, got {value}.")
    return value
