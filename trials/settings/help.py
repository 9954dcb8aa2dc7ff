"""Settings in words: the text of ``--help``, which the settings page is made from too."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import Field, fields
from typing import Any

from trials.settings.guard import groups_of
from trials.settings.search import RunSettings
from trials.settings.sources import sources_in_words

__all__ = ["fields_in_order", "meanings_of", "settings_help"]


def settings_help(kind: type = RunSettings) -> str:
    """Describe every setting of ``kind`` in one line: key, default, meaning."""
    lines: list[str] = []
    for name, group in groups_of(kind).items():
        lines += [f"\n{(group.__doc__ or '').splitlines()[0]}", *_help_lines(group, f"{name}.")]
    lines += ["\nThe run.", *_help_lines(kind, "", skip=tuple(groups_of(kind)))]
    return "\n".join(lines)


def meanings_of(kind: type) -> dict[str, str]:
    """Return what the docstrings of a settings class, and of those it inherits from, say about each setting."""
    documented = "\n".join(inspect.cleandoc(vars(each).get("__doc__") or "") for each in reversed(kind.__mro__))
    found = re.findall(r"^ {4}(\w+): (.+)$", documented, flags=re.MULTILINE)
    return {name: meaning.replace("{SOURCES}", sources_in_words()) for name, meaning in found}


def fields_in_order(kind: Any) -> list[Field[Any]]:
    """Return the fields of a settings class: what it adds itself before what it inherits."""

    def introduced(each: Field[Any]) -> int:
        declaring = [each.name in vars(base).get("__annotations__", {}) for base in kind.__mro__]
        return len(declaring) - 1 - declaring[::-1].index(True)

    return sorted(fields(kind), key=introduced)


def _help_lines(kind: Any, prefix: str, skip: tuple[str, ...] = ()) -> list[str]:
    meanings = meanings_of(kind)
    defaults = kind()
    lines = []
    for each in fields_in_order(kind):
        if each.name in skip:
            continue
        value = getattr(defaults, each.name)
        shown = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"  --{prefix + each.name:<29} {meanings[each.name]} [{shown}]")
    return lines
