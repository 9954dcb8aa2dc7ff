"""A shrinking's report shows the child beside the network that it was made from; others have no such section."""

import json

import pytest
from report_html import Page
from report_runs import write_run

from exports.metric import ACCURACY, DecidingMetric
from exports.report import write_report
from exports.report.evidence.comparison_view import comparison_rows


def network(right, macs, milliseconds):
    top1 = {"share": right, "interval95": [right - 0.1, right + 0.1]}
    return {"test": {"top1": top1}, "costs": {"macs": macs}, "onnx_bytes": 10 * macs, "onnx_ms": milliseconds}


DOCUMENT = {"original": network(0.8, 2_000_000, 1.5), "child": network(0.75, 500_000, 0.5)}


def test_each_quantity_of_both_and_the_share():
    rows = {row.name: (row.original, row.child, row.share) for row in comparison_rows(DOCUMENT, ACCURACY)}
    assert rows == {
        "test accuracy": ("80.0 % (70.0 % to 90.0 %)", "75.0 % (65.0 % to 85.0 %)", ""),
        "MACs": ("2 M", "500 k", "25.0 %"),
        "bytes of the ONNX file": ("20 M", "5 M", "25.0 %"),
        "one input in ONNX Runtime": ("1.500 ms", "0.500 ms", "33.3 %"),
    }


def test_another_metric_than_an_accuracy():
    document = {name: {"test": {"error": value}} for name, value in (("original", 0.5), ("child", 0.25))}
    metric = DecidingMetric.from_document(
        {**ACCURACY.as_document(), "name": "error", "title": "error", "percent": False}
    )
    (row,) = comparison_rows(document, metric)
    assert (row.name, row.original, row.child, row.share) == ("test error", "0.5", "0.25", "")


@pytest.mark.parametrize(
    "document", [{}, {"original": 3, "child": []}, {"original": {"costs": {"macs": "x"}}, "child": {"costs": [1]}}]
)
def test_what_is_no_comparison_shows_nothing(document):
    assert comparison_rows(document, ACCURACY) == []


def test_it_is_a_section_of_the_page(tmp_path):
    folder = write_run(tmp_path / "run")
    assert "comparison" not in Page(write_report(folder).read_text()).values("id")
    (folder / "comparison.json").write_text(json.dumps(DOCUMENT))
    page = Page(write_report(folder).read_text())
    assert "comparison" in page.values("id")
    assert "Beside the original" in page.text
    assert "75.0 % (65.0 % to 85.0 %)" in page.text
    (folder / "comparison.json").write_text("{")
    assert "comparison.json cannot be read" in Page(write_report(folder).read_text()).text
