"""docs/api/ has every public name; `python -m tests.test_api_pages` (or `make docs`) writes the lists of names anew.

A thing that several modules offer is described where it comes first in the order below, and linked from the others.
"""

import importlib
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "api"
MODULES = {
    "snas_nni": "snas_nni",
    "snas_nni.resources": "resources",
    "snas_nni.distribution": "distribution",
    "snas_nni.testing": "testing",
    "exports": "exports",
    "exports.pictures": "pictures",
    "exports.report": "report",
    "search_spaces": "search_spaces",
    "trials.data": "data",
}
# Public, and offered by a module of its own.
BESIDE = {"snas_nni": {"ResumableLoader": "snas_nni.resumable_loader"}}


def public_names(module):
    """Dotted path by name of what a module offers, in alphabetical order whatever the case."""
    names = {**BESIDE.get(module, {}), **dict.fromkeys(importlib.import_module(module).__all__, module)}
    return dict(sorted(names.items(), key=lambda item: item[0].lower()))


def places():
    """For each module and name: the dotted path under which it is described."""
    found, described = {}, {}
    for module in MODULES:
        for name, home in public_names(module).items():
            thing = getattr(importlib.import_module(home), name)
            path = described.setdefault((name, id(thing)), f"{home}.{name}")
            found[module, name] = path
    return found


def list_of(module, all_places):
    """The described names of a page, then links to those that are described elsewhere."""
    here, elsewhere = [], []
    for name, home in public_names(module).items():
        path = all_places[module, name]
        (here if path == f"{home}.{name}" else elsewhere).append((name, path))
    parts = [f"::: {path}" for _, path in here]
    if elsewhere:
        links = ", ".join(f"[`{name}`][{path}]" for name, path in elsewhere)
        parts.append(f"Also offered here, and described elsewhere: {links}.")
    return "\n\n".join(parts)


WRITTEN = re.compile(r"(<!-- written by make docs: begin -->\n\n).*(\n\n<!-- written by make docs: end -->)", re.DOTALL)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_its_page(module):
    page = (FOLDER / f"{MODULES[module]}.md").read_text(encoding="utf-8")
    written = WRITTEN.search(page)
    assert written[0] == written[1] + list_of(module, places()) + written[2], "docs/api is out of date: make docs"
    for name in importlib.import_module(module).__all__:
        assert re.search(rf"^::: {re.escape(module)}\.{name}$|\[`{name}`\]\[", page, re.MULTILINE), name


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module):
    for name in importlib.import_module(module).__all__:
        thing = getattr(importlib.import_module(module), name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_every_page_is_in_the_index():
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert {path.name for path in FOLDER.glob("*.md")} == {"index.md", *(f"{page}.md" for page in MODULES.values())}
    for module, page in MODULES.items():
        assert f"[{module}]({page}.md)" in index


if __name__ == "__main__":
    for module, page in MODULES.items():
        path = FOLDER / f"{page}.md"
        new = list_of(module, places())
        path.write_text(WRITTEN.sub(lambda m, new=new: m[1] + new + m[2], path.read_text(encoding="utf-8")))
