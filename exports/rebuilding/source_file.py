"""A space that was written in a notebook or a script becomes a file that can be imported."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from exports.architecture.files import write_file
from exports.architecture.space_reference import constructor_of
from exports.errors import ArchitectureFileError

__all__ = ["save_source", "source_of"]

_HEADER = '"""Written by snas_nni out of a notebook or a script."""\n'
_FUTURE = "from __future__ import annotations\n"  # what only annotations name need not be there
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def save_source(space_class: type, path: str | Path) -> Path:
    """Write a class, and all that its code uses of the notebook or script around it, into a Python file.

    A space that is defined in a cell is recorded as ``__main__.Name``, which nothing can import later. With the file,
    ``from my_space import MySpace`` gives the class, and ``build(load("architecture.json"), spaces=MySpace)`` the
    network. Nothing imports the file by itself.

    Args:
        space_class: the class.
        path: the file to write, such as ``my_space.py``; one that exists is never changed.

    Returns:
        The path.

    Raises:
        ArchitectureFileError: the file exists or its name cannot be imported; the source is not known; or the class
            uses a value that cannot be written as Python. The message names it.
    """
    path = Path(path)
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise ArchitectureFileError("(file)", "must have a name such as my_space.py", "Rename it", path)
    if path.exists():
        raise ArchitectureFileError("(file)", "exists already", "Give another name, or move it away", path)
    text = source_of(space_class)
    compile(text, str(path), "exec")
    write_file(path, text.encode("utf-8"))
    return path


def source_of(space_class: type) -> str:
    """Return what :func:`save_source` writes.

    Raises:
        ArchitectureFileError: the source is not known, is that of another class of the same name, or the class uses a
            value that cannot be written as Python.
    """
    home = sys.modules[space_class.__module__]
    name = space_class.__name__
    if vars(home).get(name) is not space_class:
        raise ArchitectureFileError(
            "(class)", f"{name} is another thing in its notebook or script by now", "Give the one that is there"
        )
    found = _Source(home)
    found.add(name, space_class)
    return found.text()


class _Source:
    """Collects imports, constants and definitions, each after those that it needs."""

    def __init__(self, home: ModuleType) -> None:
        self._home = home
        self._seen: set[str] = set()
        self._imports: list[str] = []
        self._body: list[str] = []

    def add(self, name: str, value: Any) -> None:
        """Add what a global name stands for, unless it was added already."""
        if name in self._seen:
            return
        self._seen.add(name)
        if isinstance(value, ModuleType):
            own = value.__name__
            self._imports.append(f"import {own}" if own == name else f"import {own} as {name}")
        elif isinstance(value, (type, FunctionType)) and value.__module__ == self._home.__name__:
            source = _definition(value)
            needed = _globals_of(_without_annotations(source))
            for used in sorted(_globals_of(source)):
                if used in vars(self._home):
                    self.add(used, vars(self._home)[used])
                elif used in needed and not hasattr(builtins, used):
                    raise self._refusal(f"uses {used}, which is not defined", "Run the cell that defines it first")
            self._body.append(f"\n\n{source.rstrip()}")
        elif self._importable(value):
            own = value.__qualname__
            self._imports.append(f"from {value.__module__} import {own}" + ("" if own == name else f" as {name}"))
        elif _is_plain(value):
            self._body.append(f"{name} = {value!r}")
        else:
            raise self._refusal(
                f"uses {name}, a {type(value).__name__}, which cannot be written as Python",
                "Make it inside the class, or move the class into a file yourself (%%writefile my_space.py)",
            )

    def text(self) -> str:
        """Return the file's content."""
        return "\n".join([_HEADER, _FUTURE, *sorted(set(self._imports)), *self._body]) + "\n"

    def _importable(self, value: Any) -> bool:
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(name, str) or module == self._home.__name__:
            return False
        return getattr(sys.modules.get(module), name, None) is value

    @staticmethod
    def _refusal(problem: str, remedy: str) -> ArchitectureFileError:
        return ArchitectureFileError("(class)", problem, remedy)


def _definition(value: type | FunctionType) -> str:
    """Return the source of a class or a function, decorators included.

    ``inspect.getsource`` refuses classes of notebooks before Python 3.13: their lines are found by a method's.
    """
    for file in dict.fromkeys(_files_of(value)):
        lines = linecache.getlines(file)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in reversed(tree.body):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == value.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
    raise ArchitectureFileError(
        "(class)",
        f"{value.__name__}: its source is not known",
        "Put it into a file yourself: begin its cell with %%writefile my_space.py, and import it from there",
    )


def _files_of(value: type | FunctionType) -> Iterator[str]:
    if isinstance(value, FunctionType):
        yield inspect.unwrap(value).__code__.co_filename
        return
    written = constructor_of(value) if "__init__" in vars(value) else None
    for each in (written, *vars(value).values()):
        function = getattr(each, "__func__", each)
        if isinstance(function, FunctionType):
            yield inspect.unwrap(function).__code__.co_filename


def _without_annotations(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.unparse(tree)


def _globals_of(source: str) -> set[str]:
    """Return the global names that code uses and does not define itself."""
    top = symtable.symtable(source, "cell", "exec")
    used: set[str] = {each.get_name() for each in top.get_symbols() if not each.is_assigned()}
    pending = list(top.get_children())
    while pending:
        table = pending.pop()
        used |= {each.get_name() for each in table.get_symbols() if each.is_global()}
        pending += table.get_children()
    return used - {each.get_name() for each in top.get_symbols() if each.is_assigned()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    return type(value) in _PLAIN
