"""From a sample of the space to its frozen child, with the weights that the supernet has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.derivation.child import build_child, derive_child

__all__ = ["build_child", "derive_child"]

_HOMES = {
    "build_child": "child",
    "derive_child": "child",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
