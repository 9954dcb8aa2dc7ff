"""YAML files that nobody vouches for: plain values only, and never more of them than the file has room for.

PyYAML's safe loader already makes no objects. What is left to an attacker is size: aliases that stand for each other
(nine lines can mean a thousand million values), nesting that exhausts the stack, a file that is a device.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from snas_nni.errors import SettingError
from snas_nni.files import read_bounded, readable, reason_of

__all__ = ["MAX_BYTES", "read_yaml"]

MAX_BYTES = 2**20
MAX_VALUES = 50_000
MAX_DEPTH = 32
LONGEST_NUMBER = 1000
LARGEST = 2**64 - 1  # of whole numbers, so that everything else that reads them can hold them


class _PlainLoader(yaml.SafeLoader):
    """Refuses, before anything is made, what is too large or given twice."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Stop at the depth that is allowed, long before Python does."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def check(self, node: yaml.Node) -> None:
        """Walk the tree with every alias followed, as whoever copies or prints the values will."""
        sizes: dict[int, int] = {}
        self._values(node, 0, sizes)

    def _values(self, node: yaml.Node, depth: int, sizes: dict[int, int]) -> int:
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=node.start_mark)
        if id(node) in sizes:  # counted once, however often it is meant
            return sizes[id(node)]
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeated_keys(node)
            children = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        elif node.tag != "tag:yaml.org,2002:str" and len(node.value) > LONGEST_NUMBER:
            # 59:59:59:... is a number to YAML, and takes PyYAML a time that grows with the square of its length.
            problem = f"a number or date of {len(node.value)} characters"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        size = 1 + sum(self._values(child, depth + 1, sizes) for child in children)
        if size > MAX_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"stands for more than {MAX_VALUES} values", problem_mark=node.start_mark
            )
        sizes[id(node)] = size
        return size

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {readable(key.value, 60)} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds: text, finite numbers, truth values, None, and lists and dictionaries of these.

    Raises:
        SettingError: names the file and the place, for a file that cannot be read, is no regular file, is larger
            than 1 MiB, is not YAML, or holds anything else, more than 50,000 values (with aliases written out), or
            lists nested deeper than 32.
    """
    shown = readable(str(path), 300)
    try:
        text = read_bounded(path, MAX_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:  # a bad encoding is a ValueError
        raise SettingError(f"{shown}: cannot be read: {reason_of(error, 200)}") from error
    try:
        content = _parsed(text)
    except yaml.YAMLError as error:
        raise SettingError(f"{shown}: not YAML that can be used: {_in_words(error)}") from error
    except RecursionError:
        raise SettingError(f"{shown}: not YAML that can be used: nested too deeply") from None
    except (ValueError, OverflowError, ArithmeticError) as error:  # 2020-99-99 is written as a date, and is none
        raise SettingError(f"{shown}: not YAML that can be used: {readable(str(error))}") from error
    except (TypeError, LookupError, AttributeError) as error:  # PyYAML's own slips on odd tags, like !!int with none
        raise SettingError(
            f"{shown}: not YAML that can be used: a value does not fit its tag ({readable(str(error))})"
        ) from error
    _refuse_other_types(content, "", shown)
    return content


def _parsed(text: str) -> Any:
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        loader.check(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _in_words(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        return place + readable(" ".join(filter(None, (error.context, error.problem))), 250)
    return readable(" ".join(str(error).split()), 250)


def _refuse_other_types(value: Any, key: str, file: str) -> None:
    where = f"{file}: {readable(key, 200)}" if key else file
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise SettingError(f"{where}: the key {readable(name, 60)} must be text; put it in quotes")
            _refuse_other_types(item, f"{key}.{name}" if key else name, file)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_other_types(item, f"{key}[{index}]", file)
    elif isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise SettingError(f"{where}: holds half of a surrogate pair, which is not valid text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SettingError(f"{where}: is {value}, which is not a finite number")
    elif isinstance(value, int):
        if abs(value) > LARGEST:
            raise SettingError(f"{where}: is {readable(value)}, more than 64 bits")
    elif value is not None:
        raise SettingError(f"{where}: is a {type(value).__name__}; write it as text, in quotes")
