"""MkDocs hook: the project's files as pages, with links and tables as the site needs them.

README.md, CHANGELOG.md and CONTRIBUTING.md are pages of the site without being copied by hand. Links are written for
a reader of the repository; on the site a link to a page stays one, and a link to a source file leads to the project
page. In tables GitHub wants a bar in code escaped, and Python-Markdown does not.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FILES_AS_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_ORIGINS = {page: origin for origin, page in FILES_AS_PAGES.items()}
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(\]\()(?!https?://|mailto:|#)([^)#\s]+)([^)]*\))")


def repository() -> str:
    """Return the address of the project page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"])


def rewritten(markdown: str, page: str, pages: set[str]) -> str:
    """Return the Markdown of a page with its links as the site needs them.

    Args:
        markdown: as it stands in the repository.
        page: its path on the site, such as ``"api/index.md"``.
        pages: paths of all files of the site.
    """
    origin = _ORIGINS.get(page, f"docs/{page}")
    here = posixpath.dirname(page)

    def link(match: re.Match[str]) -> str:
        opening, target, rest = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        on_site = FILES_AS_PAGES.get(path, path.removeprefix("docs/"))
        if path == "docs/results":
            on_site = "results/README.md"
        if on_site in pages and (path in FILES_AS_PAGES or path.startswith("docs/")):
            return f"{opening}{posixpath.relpath(on_site, here or '.')}{rest}"
        if (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"{opening}{repository()}/{kind}/HEAD/{path}{rest}"
        return match[0]  # leads nowhere: MkDocs says so

    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def with_bars_in_tables(markdown: str) -> str:
    """Return the Markdown of a page with plain bars in the code of its tables."""
    lines = markdown.split("\n")
    return "\n".join(
        _CODE.sub(lambda match: match[0].replace("\\|", "|"), line) if line.startswith("|") else line for line in lines
    )


def on_config(config: Any) -> Any:
    """Put the link to the project page into the footer."""
    config.extra["social"] = [{"icon": "fontawesome/brands/git-alt", "link": repository(), "name": "project page"}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/ that are pages."""
    for origin, page in FILES_AS_PAGES.items():
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, content=(ROOT / origin).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite the links and tables of every page."""
    return with_bars_in_tables(rewritten(markdown, page.file.src_uri, {file.src_uri for file in files}))
