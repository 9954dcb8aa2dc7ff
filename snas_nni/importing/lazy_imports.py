"""Packages whose names are imported when they are first asked for, not all at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, str], elsewhere: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Args:
        package: its name.
        homes: for each name that it offers, the module in it that has it.
        elsewhere: for each name that it hands on from another package of this project, that package or a module in it.
    """
    handed_on = elsewhere or {}

    def get(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        elif name in handed_on:
            from snas_nni.importing.own_packages import own_name  # on demand: most programs do without

            value = own_name(f"{handed_on[name]}.{name}")
        else:
            here = getattr(sys.modules[package], "__file__", None)
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it is the one of snas_nni, {here}")
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *handed_on})

    return get, names
