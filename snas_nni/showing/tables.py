"""Tables that objects show of themselves in a notebook, with everything in them escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]

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
