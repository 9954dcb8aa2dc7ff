"""What an object shows of itself: a table in a notebook, with everything in it escaped; the call that made it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from snas_nni.files import readable

__all__ = ["arguments_in_words", "html_table"]

_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def html_table(title: str, rows: Iterable[Sequence[object]], header: Sequence[object] = ()) -> str:
    """Return a title and a table in HTML that takes its colors from the page around it, light or dark.

    Args:
        title: one line above the table; may be empty.
        rows: of the table, each a value for each column; texts are shown as they are, never as HTML.
        header: a name for each column; none for a table without.
    """
    parts = [f"<p style='margin:0 0 4px'><strong>{escape(title)}</strong></p>"] if title else []
    parts.append("<table style='border-collapse:collapse;background:none'>")
    if header:
        parts.append(f"<tr>{''.join(f'<th style={_CELL!r}>{escape(str(each))}</th>' for each in header)}</tr>")
    for row in rows:
        parts.append(f"<tr>{''.join(f'<td style={_CELL!r}>{escape(str(each))}</td>' for each in row)}</tr>")
    return "".join([*parts, "</table>"])


def arguments_in_words(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return the arguments that differ from their defaults, as they are written in a call.

    Args:
        function: with the defaults.
        given: a value for each of its parameters; other names are left out.
    """
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        value, default = given.get(name, parameter.default), parameter.default
        # Tensors and arrays stand where None is the default: they are not compared.
        if value is not default and (default is None or value != default):
            shown.append(f"{name}={readable(repr(value), 80)}")
    return ", ".join(shown)
