"""The table of faults in docs/reliability.md, written by the run that tried them."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

__all__ = ["table", "write_page"]

BEGIN, END = "<!-- written by make test-faults: begin -->", "<!-- written by make test-faults: end -->"


def write_page(path: Path, document: dict[str, Any]) -> None:
    """Put the table between the two marks of the page.

    Raises:
        ValueError: the page lacks the marks.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table: {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{table(document)}\n{END}{after}", encoding="utf-8")


def table(document: dict[str, Any]) -> str:
    """Return the tables as Markdown; parts that were not run are left out."""
    lines: list[str] = []
    kills, cuts, inputs, faults = (document.get(part) for part in ("kills", "cuts", "inputs", "faults"))
    if kills:
        lines += [
            f"Kills: {kills['tried']} in {kills['searches']} search(es); after {kills['bit_equal']} of them the result "
            "is equal to the bit to the uninterrupted search's.",
            "",
        ]
    if cuts:
        lines += [
            f"Cuts: {cuts['tried']} searches with settings at random, cut {cuts['cuts']} times at steps at random; "
            f"{cuts['bit_equal']} of them end equal to the bit to the same searches left alone.",
            "",
        ]
    if inputs:
        lines += [
            f"Damaged files: {inputs['tried']:,} tried, {inputs['accepted']:,} accepted, {inputs['refused']:,} refused "
            f"with one readable line, {inputs['tracebacks']} tracebacks.",
            "",
        ]
    if faults:
        survived = sum(fault["survived"] for fault in faults)
        lines += [
            f"Faults: {survived} of {len(faults)} survived.",
            "",
            "| fault | survived | shown by |",
            "|---|---|---|",
        ]
        for fault in faults:
            answer = "yes" if fault["survived"] else f"**no**: {fault['reason']}"
            lines.append(f"| {fault['name']} | {answer} | `{fault['test'].split('::')[-1]}` |")
        lines.append("")
    lines.append(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}.")
    return "\n".join(lines) + "\n"
