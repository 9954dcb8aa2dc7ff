"""Ranges of settings: said once, beside the default, and checked when the settings are made."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from snas_nni.errors import SettingError

__all__ = ["check_ranges", "ranged", "require", "require_one_of"]

_KEY = "range"


def require(
    key: str,
    value: float | None,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
    whole: bool = False,
) -> None:
    """Refuse a number outside its range; None means that a setting is left out, and passes.

    Args:
        key: of the setting, for the message.
        value: of the setting.
        above: a bound that the value must not reach.
        at_least: a bound that it may reach.
        below: a bound that it must not reach.
        at_most: a bound that it may reach.
        whole: whether it must be a whole number.

    Raises:
        SettingError: names the key, the value and the range.
    """
    if value is None:
        return
    if above < value < below and at_least <= value <= at_most and (isinstance(value, int) or not whole):
        return
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    words = ["a whole number"] * whole + [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
    raise SettingError(f"{key} is {value}, but must be {' and '.join(words) or 'a finite number'}")


def require_one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not one of ``allowed``.

    Raises:
        SettingError: names the key, the value and what is allowed.
    """
    if value not in allowed:
        raise SettingError(f"{key} is {value!r}, but must be one of {', '.join(allowed)}")


def ranged(default: Any, **bounds: Any) -> Any:
    """Return the field of a dataclass whose number has a range.

    Args:
        default: of the field, which need not be in the range.
        bounds: as :func:`require` has them.
    """
    return field(default=default, metadata={_KEY: bounds})


def check_ranges(settings: Any, prefix: str = "") -> None:
    """Check every field of a dataclass that is :func:`ranged`, numbers in tuples one by one, or a ``Literal``.

    A subclass that gives a field another default keeps its range.

    Args:
        settings: the dataclass; call it from ``__post_init__``.
        prefix: of the keys in messages, with its dot.

    Raises:
        SettingError: names the key, the value and what is allowed.
    """
    kind: type = type(settings)
    ranges, words = _ranges_and_words(kind)
    for name, bounds in ranges.items():
        value = getattr(settings, name)
        for number in value if isinstance(value, tuple) else (value,):
            require(prefix + name, number, **bounds)
    for name, allowed in words.items():
        require_one_of(prefix + name, getattr(settings, name), allowed)


@functools.cache
def _ranges_and_words(kind: type) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, tuple[str, ...]]]:
    ranges: dict[str, Mapping[str, Any]] = {}
    for each in reversed(kind.__mro__):
        for name, description in vars(each).get("__dataclass_fields__", {}).items():
            if _KEY in description.metadata:
                ranges[name] = description.metadata[_KEY]
    hints = get_type_hints(kind)
    words = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    return ranges, words
