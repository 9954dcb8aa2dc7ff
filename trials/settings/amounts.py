"""Large numbers as people write them: ``2.3M`` parameters, ``10k``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["amount", "amounts_in_words", "with_amounts"]

_LETTERS = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kKmMgGbBtT])\s*")
_GROUP, _BOUND = "resources", "max_"  # there is a bound for each cost


def amount(value: Any) -> Any:
    """Return the number that a text such as ``2.3M`` stands for; anything else as it is.

    k is a thousand, M a million, G or B a thousand million, T a million million, in either case.
    """
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    digits, letter = found.groups()
    number = round(float(digits) * _LETTERS[letter.lower()], 6)
    return int(number) if number == int(number) else number


def with_amounts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings from a file, the bounds among them as numbers."""
    resources = given.get(_GROUP)
    if not isinstance(resources, dict):
        return dict(given)
    return {
        **given,
        _GROUP: {name: amount(value) if name.startswith(_BOUND) else value for name, value in resources.items()},
    }


def amounts_in_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, the bounds among them as numbers."""
    prefix = f"--{_GROUP}.{_BOUND}"
    result: list[str] = []
    for word in words:
        option, separator, value = word.partition("=")
        if separator and option.startswith(prefix):
            word = f"{option}={amount(value)}"
        elif result and result[-1].startswith(prefix) and "=" not in result[-1]:
            word = str(amount(word))
        result.append(word)
    return result
