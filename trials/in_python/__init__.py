"""A whole search as one function, on data that the program has: the same run as the command line's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from trials.in_python.function import search
    from trials.in_python.run import SearchRun

__all__ = ["SearchRun", "search"]

_HOMES = {"SearchRun": "run", "search": "function"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
