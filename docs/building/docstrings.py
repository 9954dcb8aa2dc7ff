"""Griffe extension: docstrings are written for Python's own help; on the site their roles become links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

_PAGES = Path(__file__).parents[1] / "api"
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):`(~?)([\w.]+)`")
_LITERAL_BLOCK = re.compile(r"::(?=\n\n)")


def names_on_pages() -> dict[str, str]:
    """Return the dotted path on the API pages of every name that has a place there."""
    paths = (path for page in _PAGES.glob("*.md") for path in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE))
    return {path.rpartition(".")[2]: path for path in paths}


def as_markdown(text: str, places: dict[str, str]) -> str:
    """Return a docstring whose roles are links where the API pages have the name, and code elsewhere."""

    def role(match: re.Match[str]) -> str:
        short, path = match.groups()
        name = path.rpartition(".")[2]
        shown = f"`{name if short else path}`"
        return f"[{shown}][{places[name]}]" if name in places else shown

    return _LITERAL_BLOCK.sub(":", _ROLE.sub(role, text))


class RolesAsLinks(griffe.Extension):
    """Rewrites every docstring when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self._places = names_on_pages()

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value, self._places)
