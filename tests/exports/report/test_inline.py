"""A report in a notebook is the page that a file would be, in a frame that keeps to itself."""

import re
from html import unescape

import pytest
from report_runs import write_run

from exports import ArchitectureFileError
from exports.report import show_report, write_report


def test_the_frame_holds_the_page(tmp_path):
    folder = write_run(tmp_path / "a<b")
    shown = show_report(folder, height=300)
    html = shown._repr_html_()
    (inside,) = re.findall(r'srcdoc="([^"]*)"', html)
    assert unescape(inside) == write_report(folder).read_text(encoding="utf-8")
    assert 'sandbox="allow-scripts"' in html
    assert "height:300px" in html
    assert 'title="Report on a&lt;b"' in html
    assert len(repr(shown)) < 120
    assert sorted(each.name for each in folder.iterdir()).count("report.html") == 1


def test_nothing_is_written_and_mistakes_are_named(tmp_path):
    folder = write_run(tmp_path / "run")
    before = sorted(folder.rglob("*"))
    show_report(folder / "summary.json")
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(ArchitectureFileError, match="neither the folder of a search"):
        show_report(tmp_path / "nowhere")
