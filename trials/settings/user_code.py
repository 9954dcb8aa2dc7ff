"""Code of the user's own that a setting names: where it is looked for, and how it is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import cast

from snas_nni.errors import SettingError
from snas_nni.importing.own_packages import OWN_PACKAGES, claim

__all__ = ["add_current_folder_to_path", "import_dotted"]

_OWN_PACKAGES = ("snas_nni", "search_spaces", "exports", "trials")


def import_dotted(path: str, key: str, built_in: tuple[str, ...] = ()) -> Callable[..., object]:
    """Import ``package.module.name``.

    Args:
        path: dotted path of a function or class.
        key: the setting that holds it, for the error message.
        built_in: names that need no dots, for the error message.

    Raises:
        SettingError: no such module, or no such callable in it.
    """
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        names = f" ({', '.join(built_in)})" if built_in else ""
        raise SettingError(f"{key}: {path!r} is neither built in{names} nor a dotted path like my_module.MyName")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        hint = (
            f". In this command {package!r} is snas_nni's own package: give a folder or file of yours that is called "
            "so another name"
        )
        raise SettingError(
            f"{key}: cannot import {path!r}: {error}{hint if package in OWN_PACKAGES else ''}"
        ) from error
    except AttributeError as error:
        raise SettingError(f"{key}: module {module_name!r} has no {attribute!r}") from error
    if not callable(found):
        raise SettingError(f"{key}: {path!r} is a {type(found).__name__}, not a class or function")
    return cast(Callable[..., object], found)


def add_current_folder_to_path() -> None:
    """Let a user's own modules in the current folder be imported.

    At the end of the path, so that they hide nothing that is installed. This project's packages are found before all.

    Raises:
        HiddenPackageError: a package with the name of one of this project's was imported before.
    """
    # An empty entry, which `python -c` puts in front, means the current folder too.
    sys.path[:] = [entry for entry in sys.path if entry != ""]
    claim(*OWN_PACKAGES)
    if "." not in sys.path:
        sys.path.append(".")
