"""From a class path in a file to a model space's class, importing only what may be imported."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from nni.nas.nn.pytorch import ModelSpace

from exports.architecture.plain import inside
from exports.errors import ArchitectureFileError
from snas_nni.errors import HiddenPackageError
from snas_nni.files import readable
from snas_nni.importing.own_packages import own_module

__all__ = ["OWN_PACKAGES", "Spaces", "find_space", "imported_paths"]

OWN_PACKAGES = ("search_spaces", "snas_nni", "nni.nas.hub")
KEY = "space.class_path"

Spaces: TypeAlias = "type[ModelSpace] | str | Iterable[type[ModelSpace] | str] | None"


def find_space(class_path: str, arguments: Mapping[str, Any], spaces: Spaces = None) -> type[ModelSpace]:
    """Return the class that ``class_path`` names, once it may be made with ``arguments``.

    Importing a module runs its code, so a file alone cannot cause an import: only modules inside
    ``search_spaces``, ``snas_nni`` and ``nni.nas.hub``, and those that ``spaces`` names, are imported. What a space
    imports by the name that an argument has (``FromModel``'s constructor of the network) has to be named there too.

    Args:
        class_path: ``package.module.Class``.
        arguments: of its constructor, as the file has them.
        spaces: what the caller allows beyond that: classes, which are used without any import, and texts,
            each a package, a module or a whole class path. A class, or a whole class path, also stands for one of its
            name that was recorded from a script or a notebook (``__main__.Name``).

    Raises:
        ArchitectureFileError: the class, or what an argument names, is in none of these; it does not exist, or is not
            a model space that its module defines.
        HiddenPackageError: it is in ``search_spaces``, and the program has imported another package of that name.
    """
    given = list_of(spaces)
    space_class = class_of(class_path, given)
    names = [name for name in given if isinstance(name, str)]
    for name, path in imported_paths(space_class, arguments).items():
        if not any(path == allowed or path.startswith(f"{allowed}.") for allowed in names):
            raise ArchitectureFileError(
                inside("space.arguments", name),
                f"{readable(path)!r} would be imported, and nobody has allowed that",
                f"If you trust that code, name its package, build(..., spaces=[{readable(path.split('.')[0])!r}])",
            )
    return space_class


def imported_paths(space_class: type[ModelSpace], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The arguments of a space that name code which its constructor imports, by name.

    A class lists such arguments in ``imported_arguments``.
    """
    named: Iterable[str] = getattr(space_class, "imported_arguments", ())
    return {name: arguments[name] for name in named if isinstance(arguments.get(name), str)}


def class_of(class_path: str, given: list[type[ModelSpace] | str]) -> type[ModelSpace]:
    """Import the class, if that is allowed."""
    module_name, _, class_name = class_path.rpartition(".")
    for space_class in given:
        if isinstance(space_class, type) and class_path in (
            f"{space_class.__module__}.{space_class.__qualname__}",
            f"__main__.{space_class.__qualname__}",
        ):
            return space_class
    if module_name == "__main__":
        # What was written in a notebook or a script lies in a module of its own by now, if somebody put it there.
        named = (each for each in given if isinstance(each, str) and each.endswith(f".{class_name}"))
        elsewhere = next(named, None)
        if elsewhere is None:
            raise ArchitectureFileError(
                KEY,
                f"{readable(class_path)!r} was written in a notebook or a script, which nothing can import",
                f"Where it is defined, pass the class: build(..., spaces=[{readable(class_name)}]). Elsewhere write it "
                f"into a file first, snas_nni.save_source({readable(class_name)}, 'my_space.py'), and name it: "
                f"spaces='my_space.{readable(class_name)}', or --space my_space.{readable(class_name)}",
            )
        return class_of(elsewhere, given)
    allowed = [*OWN_PACKAGES, *(name for name in given if isinstance(name, str))]
    if not any(class_path == name or class_path.startswith(f"{name}.") for name in allowed):
        raise ArchitectureFileError(
            KEY,
            f"{readable(class_path)!r} is not in a package that may be imported",
            f"If you trust that code, name it: --space {readable(class_path)} on the command line; in Python pass the "
            f"class, build(..., spaces=[TheSpace]), or name its package, "
            f"build(..., spaces=[{readable(class_path.split('.')[0])!r}])",
        )
    # In a file this name means our package, also where another package has it: a file must not reach other folders.
    own = module_name.partition(".")[0] == "search_spaces"
    try:
        module = own_module(module_name) if own else importlib.import_module(module_name)
    except HiddenPackageError:
        raise
    except Exception as error:
        raise ArchitectureFileError(
            KEY,
            f"module {readable(module_name)!r} cannot be imported: {readable(str(error))}",
            "It is looked for in snas_nni's own package search_spaces. For a class in a package of yours that is "
            "called so, pass the class: build(..., spaces=[TheSpace])"
            if own
            else "Install the package that holds it, add its folder to PYTHONPATH, or name its file: --space DIR/X.py",
        ) from error
    # Looked up in the module's own names: no attribute hooks, no classes that came from elsewhere.
    found = vars(module).get(class_name)
    if not isinstance(found, type) or (found.__module__, found.__qualname__) != (module_name, class_name):
        raise ArchitectureFileError(
            KEY,
            f"module {module_name!r} defines no class {readable(class_name)!r}",
            "Give the path of the module in which the class is written",
        )
    return checked_space(found)


def list_of(spaces: Spaces) -> list[type[ModelSpace] | str]:
    """Return ``spaces`` as a list of classes and names, whichever way it was given."""
    if spaces is None:
        return []
    given = [spaces] if isinstance(spaces, (str, type)) else list(spaces)
    for each in given:
        if isinstance(each, type):
            checked_space(each)
        elif not isinstance(each, str) or not all(part.isidentifier() for part in each.split(".")):
            raise ArchitectureFileError(
                KEY,
                f"spaces holds {readable(each)}",
                "Give model space classes, or the dotted names of packages, modules or classes",
            )
    return given


def checked_space(candidate: type) -> type[ModelSpace]:
    """Return ``candidate`` if it is a model space's class."""
    if not issubclass(candidate, ModelSpace):
        raise ArchitectureFileError(
            KEY,
            f"{candidate.__module__}.{candidate.__qualname__} is not an NNI ModelSpace",
            "Give a subclass of nni.nas.nn.pytorch.ModelSpace",
        )
    return candidate
