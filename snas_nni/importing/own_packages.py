"""This project's own packages, found also where something else has the same name.

``exports``, ``trials`` and ``search_spaces`` are ordinary words: a folder or file of that name in the working folder,
or anywhere in front on the path, would be imported in their place. They lie beside ``snas_nni``, in a wheel as in an
editable install, and are taken from there. Nothing is taken before it is needed, so a program that only uses
``snas_nni`` keeps its own package of such a name.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from snas_nni.errors import HiddenPackageError

__all__ = ["OWN_PACKAGES", "claim", "own_module", "own_name", "remake"]

OWN_PACKAGES = ("exports", "search_spaces", "trials")
_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # holds snas_nni and the others


class _OwnFinder(MetaPathFinder):
    """Finds the packages that were claimed, before any other finder looks at the path."""

    def __init__(self) -> None:
        self.claimed: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return _own_spec(fullname) if fullname in self.claimed else None


_FINDER = _OwnFinder()


def _own_spec(package: str) -> ModuleSpec | None:
    """Return where a package is beside ``snas_nni``; None if an unusual installation keeps it elsewhere."""
    return PathFinder.find_spec(package, [_FOLDER])


def claim(*packages: str) -> None:
    """Let these names mean this project's packages in this process from now on. Imports nothing.

    Raises:
        HiddenPackageError: something else of that name was imported before; a process has room for one.
        ValueError: a name is not in ``OWN_PACKAGES``.
    """
    for package in packages:
        if package not in OWN_PACKAGES:
            raise ValueError(f"{package!r} is none of {', '.join(OWN_PACKAGES)}")
        spec = _own_spec(package)
        if spec is None:
            continue
        loaded = sys.modules.get(package)
        if loaded is not None and not _same_file(getattr(loaded, "__file__", None), spec.origin):
            raise HiddenPackageError(
                f"snas_nni needs its own package {package!r}, in {_FOLDER}, but this program has already imported "
                f"another one, {_place_of(loaded)}. Rename that one, or use snas_nni in a program that does not "
                "import it",
                name=package,
                path=_place_of(loaded),
            )
        _FINDER.claimed.add(package)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)


def own_module(dotted: str) -> ModuleType:
    """Import a module of one of this project's packages.

    Raises:
        HiddenPackageError: see :func:`claim`.
    """
    claim(dotted.partition(".")[0])
    return importlib.import_module(dotted)


def own_name(dotted: str) -> Any:
    """Import ``package.module.name`` of one of this project's packages.

    Raises:
        HiddenPackageError: see :func:`claim`.
    """
    module, _, name = dotted.rpartition(".")
    return getattr(own_module(module), name)


def remake(dotted: str) -> Any:
    """Return an empty instance of a class of this project's; its state is set by pickle.

    A worker process that is started anew, not forked, unpickles before it has imported anything of ours. A class
    whose ``__reduce__`` names this function is then found like in the process that started it.
    """
    made = own_name(dotted)
    return made.__new__(made)


def _same_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and os.path.realpath(one) == os.path.realpath(other)


def _place_of(module: ModuleType) -> str:
    """Return the folder of a package, or the file of a module; the name where it has neither."""
    folders = list(getattr(module, "__path__", ()))
    return str(folders[0] if folders else getattr(module, "__file__", None) or module.__name__)
