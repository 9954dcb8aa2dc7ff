"""What pyproject.toml cannot say: a README whose links work where a package index shows it.

A link such as ``docs/settings.md`` leads somewhere in the repository and nowhere on a package index. The file itself
keeps its links, so that they work for whoever has the files.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setuptools import setup

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?://|mailto:|#)([^)\s]+)\)")


def with_absolute_links(markdown: str, repository: str) -> str:
    """Return Markdown whose relative links lead into the repository: pages to look at, images to load."""

    def absolute(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        return f"{image}{text}({repository}/{'raw' if image else 'blob'}/HEAD/{target})"

    return _LINK.sub(absolute, markdown)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        long_description=with_absolute_links(
            (ROOT / "README.md").read_text(encoding="utf-8"), project["urls"]["Repository"]
        ),
        long_description_content_type="text/markdown",
    )
