"""A report inside a notebook: the whole page in a frame of its own."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from exports.report.page import report_page

__all__ = ["InlineReport", "show_report"]


@dataclass(frozen=True)
class InlineReport:
    """A report that a notebook shows when it is the value of a cell.

    Attributes:
        title: what it is about.
        page: the HTML of the whole page.
        height: of the frame, in pixels.
    """

    title: str
    page: str
    height: int = 640

    def __repr__(self) -> str:
        return f"InlineReport({self.title!r}, {len(self.page):,} characters; a notebook shows it)"

    def _repr_html_(self) -> str:
        # The frame has a document of its own, so the page's style stays inside. Its script may sort tables; without
        # allow-same-origin it reaches neither the notebook nor what it keeps.
        return (
            f'<iframe srcdoc="{escape(self.page, quote=True)}" title="{escape(self.title, quote=True)}" '
            f'sandbox="allow-scripts" style="width:100%;height:{self.height}px;border:1px solid #8884"></iframe>'
        )


def show_report(path: str | Path, height: int = 640) -> InlineReport:
    """Return the report on a run or an experiment, for a notebook; nothing is written.

    Args:
        path: its folder, or a file in it.
        height: of the frame, in pixels.

    Raises:
        ArchitectureFileError: the folder is neither, or its experiment.json is broken.
    """
    folder = Path(path).expanduser()
    return InlineReport(f"Report on {folder.name or folder}", report_page(folder), height)
