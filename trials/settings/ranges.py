"""Checks of single settings; each message names the key, the value and what is allowed."""

from __future__ import annotations

import math

from snas_nni.errors import SettingError

__all__ = ["require", "require_one_of"]


def require(
    key: str,
    value: float | None,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> None:
    """Refuse a number outside its range; None means that a setting is left out, and passes.

    Raises:
        SettingError: names the key, the value and the range.
    """
    if value is None or (above < value < below and at_least <= value <= at_most):
        return
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    allowed = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
    raise SettingError(f"{key} is {value}, but must be {allowed or 'a finite number'}")


def require_one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not one of ``allowed``.

    Raises:
        SettingError: names the key, the value and what is allowed.
    """
    if value not in allowed:
        raise SettingError(f"{key} is {value!r}, but must be one of {', '.join(allowed)}")
