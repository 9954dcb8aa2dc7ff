"""Checks of constructor arguments: a message names the argument, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["check_choice", "check_flag", "check_whole_number"]


def check_whole_number(name: str, value: object, minimum: int) -> int:
    """Return ``value`` if it is an ``int`` of at least ``minimum``.

    Raises:
        ValueError: it is not (``True`` and ``8.0`` are not whole numbers here).
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {minimum}")
    return value


def check_choice(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is among ``allowed``.

    Raises:
        ValueError: it is not.
    """
    if value not in tuple(allowed):  # a list from a settings file has no hash
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, allowed))}")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` if it is ``True`` or ``False``.

    Raises:
        ValueError: it is neither (a string such as ``"false"`` counts as true in Python, so it is refused).
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; it must be True or False")
    return value
