"""The documentation site is built without a warning, and its pages load nothing from a network."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def building(name):
    """A module of docs/building, which is no package: MkDocs loads its files by path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "building" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(source, site):
    """Run MkDocs as `make site` does; with --quiet it would not count the warnings that make it fail."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=source, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_there(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages = {page.replace("README.html", "index.html") for page in pages}
    pages |= {"index.html", "changelog.html", "contributing.html"}
    assert pages <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert not (site / "building").exists()


@pytest.mark.slow
def test_nothing_is_loaded_from_a_network(site):
    loading = re.compile(
        r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\b(?:src|data)=[\"']?(?:https?:)?//", re.I
    )
    linked = re.compile(r"<link\b[^>]*>", re.IGNORECASE)
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not loading.search(text), path
        for tag in linked.findall(text):
            assert not re.search(r"href=[\"']?(?:https?:)?//", tag), (path, tag)
        assert 'data-md-component="source"' not in text, path  # the theme would ask GitHub for stars
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_the_start_page_is_the_readme_and_its_links_stay_on_the_site(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="settings.html"' in text
    assert 'href="results/index.html"' in text
    assert re.search(r'href="https://[^"]+/blob/HEAD/snas.yml"', text)
    assert 'href="docs/' not in text


@pytest.mark.slow
def test_docstrings_have_no_roles_left(site):
    for path in (site / "api").glob("*.html"):
        assert not re.search(r":(?:class|func|meth|mod):", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_a_link_that_leads_nowhere_fails(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs" / "building", tmp_path / "docs" / "building")
    (tmp_path / "docs" / "page.md").write_text("# A page\n\n[to](elsewhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: s\nhooks: [docs/building/links.py]\nexclude_docs: building/\nnav: [{A: page.md}]\n"
    )
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "elsewhere.md" in done.stdout + done.stderr


class TestLinks:
    def test_to_a_page(self):
        pages = {"settings.md", "api/index.md", "results/README.md", "images/cell.png", "index.md"}
        rewritten = building("links").rewritten
        assert rewritten("[s](docs/settings.md#a)", "index.md", pages) == "[s](settings.md#a)"
        assert rewritten("![c](docs/images/cell.png)", "index.md", pages) == "![c](images/cell.png)"
        assert rewritten("[r](docs/results)", "index.md", pages) == "[r](results/README.md)"
        assert rewritten("[s](../settings.md)", "api/index.md", pages) == "[s](../settings.md)"
        assert rewritten("[start](../README.md)", "settings.md", pages) == "[start](index.md)"

    def test_to_a_file_or_folder_of_the_project(self):
        links = building("links")
        project = links.repository()
        assert links.rewritten("[s](snas.yml)", "index.md", set()) == f"[s]({project}/blob/HEAD/snas.yml)"
        assert links.rewritten("[e](../examples)", "settings.md", set()) == f"[e]({project}/tree/HEAD/examples)"

    def test_what_is_no_link_stays(self):
        rewritten = building("links").rewritten
        for text in ("[a](https://b.c/d)", "[a](#b)", "```\n[s](snas.yml)\n```", "[nowhere](no/such/file.md)"):
            assert rewritten(text, "index.md", set()) == text


def test_bars_in_the_code_of_tables():
    changed = building("links").with_bars_in_tables
    assert changed("| a | `b\\|c` |\nno table `b\\|c`") == "| a | `b|c` |\nno table `b\\|c`"
    assert changed("| int \\| None | `d` |") == "| int \\| None | `d` |"


@pytest.mark.slow
def test_a_cell_with_bars_stays_in_its_column(site):
    text = (site / "results" / "nasbench201.html").read_text(encoding="utf-8")
    assert re.search(r"<td><code>\|[^<\\]*\|</code></td>", text)


def test_roles_become_links_and_code():
    as_markdown = building("docstrings").as_markdown
    places = {"Budget": "snas_nni.Budget"}
    assert as_markdown("see :class:`~snas_nni.resources.Budget`.", places) == "see [`Budget`][snas_nni.Budget]."
    assert as_markdown("see :func:`other.thing`.", places) == "see `other.thing`."
    assert as_markdown("Like this::\n\n    code", places) == "Like this:\n\n    code"
