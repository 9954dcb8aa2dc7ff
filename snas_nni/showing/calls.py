"""The call that made an object, for its ``repr``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from snas_nni.files import readable

__all__ = ["arguments_in_words"]


def arguments_in_words(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return the arguments that differ from their defaults, as they are written in a call.

    Args:
        function: with the defaults.
        given: a value for each of its parameters; other names are left out.
    """
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        value, default = given.get(name, parameter.default), parameter.default
        # Tensors and arrays stand where None is the default: they are not compared.
        if value is not default and (default is None or value != default):
            shown.append(f"{name}={readable(repr(value), 80)}")
    return ", ".join(shown)
