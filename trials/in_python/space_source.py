"""The source of a model space that was written in a script or a notebook, as a file that can be imported."""

from __future__ import annotations

import ast
import builtins
import linecache
import re
import sys
import textwrap
from types import FunctionType, ModuleType
from typing import Any

from snas_nni.errors import SettingError

__all__ = ["file_name_of", "source_of"]

MAIN = "__main__"


def file_name_of(space_class: type) -> str:
    """Return the name of a module for a class: ``TinySpace`` gives ``tiny_space``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", space_class.__name__).lower()


def source_of(space_class: type) -> str:
    """Write a module that defines a class as its script or notebook does, with all that the class needs.

    What the class names is taken from the running program: modules and names of modules are imported, the program's own
    functions and classes are written too, and constants with their values.

    Args:
        space_class: defined at the top level of ``__main__``.

    Raises:
        SettingError: the source cannot be found, or the class needs something that has none; says what to do.
    """
    program = vars(sys.modules[MAIN])
    imports: set[str] = set()
    definitions: dict[str, str] = {}

    def need(name: str) -> None:
        if name in definitions or name not in program:
            return
        value = program[name]
        if isinstance(value, ModuleType):
            imports.add(f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}")
        elif isinstance(value, (type, FunctionType)) and value.__module__ == MAIN:
            definitions[name] = ""  # one that names itself is not looked for again
            text = _text_of(value, space_class)
            for other in sorted(_names_in(text)):
                need(other)
            definitions[name] = definitions.pop(name) or text  # after those that it needs
        elif getattr(value, "__module__", None) and _is_in_its_module(value):
            told = value.__name__
            imports.add(f"from {value.__module__} import {told}" + (f" as {name}" if told != name else ""))
        elif _is_plain(value):
            definitions[name] = f"{name} = {value!r}"
        else:
            raise _without_source(space_class, f"it needs {name}, a {type(value).__name__}")

    need(space_class.__name__)
    if program.get(space_class.__name__) is not space_class:
        raise _without_source(space_class, "its program has another thing of that name now")
    head = f'"""{space_class.__name__}, as the program that searched it had defined it."""'
    future = "from __future__ import annotations"  # what only annotations name need not be there
    return "\n\n".join([head, future, "\n".join(sorted(imports)), *definitions.values()]) + "\n"


def _text_of(value: Any, space_class: type) -> str:
    """Return the source of a class or function; that of a notebook's cell is where its code says."""
    written = vars(value).get("_init_wrapped") if isinstance(value, type) else value
    functions = [written, *vars(value).values()] if isinstance(value, type) else [value]
    files = {each.__code__.co_filename for each in functions if isinstance(each, FunctionType)}
    for file in sorted(files):
        lines = linecache.getlines(file)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in reversed(tree.body):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == value.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()
    raise _without_source(space_class, f"the source of {value.__name__} cannot be found")


def _names_in(text: str) -> set[str]:
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return names - set(vars(builtins))


def _is_in_its_module(value: Any) -> bool:
    module = sys.modules.get(value.__module__)
    return module is not None and getattr(module, getattr(value, "__name__", ""), None) is value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    return value is None or isinstance(value, (bool, int, float, str, bytes))


def _without_source(space_class: type, why: str) -> SettingError:
    return SettingError(
        f"{space_class.__name__} is defined in the program itself, and cannot be written to a file: {why}. Put the "
        f"class into a file of its own, such as {file_name_of(space_class)}.py, and import it from there"
    )
