"""The report on a sweep of budgets: the front with intervals, the search's own child and children of chance."""

import copy

import pytest
from report_html import Page
from report_runs import FRONT, point, write_sweep

from exports import ArchitectureFileError
from exports.report import write_report
from exports.report.fronts.sweep import read_sweep
from exports.report.fronts.sweep_view import view_sweep


def test_every_point_with_its_interval_is_on_the_page(tmp_path):
    page = Page(write_report(write_sweep(tmp_path / "sweep")).read_text())
    for shown in (
        "4 budgets, 4 different children from one search, trained by themselves for 2 epochs of the dearest",
        "50.0 % (95 % interval 45.0 to 55.0 %) for 900 MACs, 84.0 % (95 % interval 79.0 to 89.0 %) for 3,900",
        "Each child costs at most what its budget allows",
        "For 1 of 2 random children, which were not, with the same weights, there is a point",
        "Point 2 is the cheapest about as good as the best",
        *("79.0 to 89.0 %", "3,900", "98 %", "snas-nni predict"),
    ):
        assert shown in page.text, shown
    identifiers = page.values("id")
    assert {"point-1", "point-2", "point-3", "point-4"} <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(identifiers)
    dots = [attributes["class"] for tag, attributes in page.attributes if tag == "circle" and "cx" in attributes]
    # Once each in the legend too.
    counts = {kind: dots.count(f"dot {kind}-dot") - 1 for kind in ("front", "plain", "chosen", "random")}
    assert counts == {"front": 3, "plain": 1, "chosen": 1, "random": 2}
    assert page.words.count("front") == 3
    assert "the search's own child: 82.0 % (95 % interval 77.0 to 87.0 %), 2,100 MACs" in page.words


def test_budgets_that_have_one_child_are_one_dot(tmp_path):
    front = {
        **FRONT,
        "points": [point(1000, 900, 0.5, "01"), point(2000, 900, 0.5, "01")],
        "chosen": None,
        "random": [],
    }
    view = view_sweep(read_sweep(write_sweep(tmp_path, front)))
    assert "2 budgets, 1 different children" in view.answers[0].text
    assert "point 1, 2: 50.0 %" in view.chart.svg
    assert [point.headline for point in view.points] == ["Points 1, 2: 50.0 % validation accuracy, 900 MACs"]
    assert [anchor for anchor, *_ in view.rows] == ["point-1", "point-1"]
    assert [answer.question for answer in view.answers] == [
        "What was found?",
        "Within their budgets?",
        "Which one to take?",
    ]


def test_a_child_beyond_its_budget_is_said(tmp_path):
    front = copy.deepcopy(FRONT)
    front["points"][2]["cost"] = 3001
    assert view_sweep(read_sweep(write_sweep(tmp_path, front))).answers[1].verdict == "no"


@pytest.mark.parametrize("folder", ["..", "../sweep/01", "/etc", "", ".", "a\0b", 7])
def test_folders_outside_of_the_sweep_are_not_read(tmp_path, folder):
    front = copy.deepcopy(FRONT)
    front["points"][0]["folder"] = folder
    sweep = read_sweep(write_sweep(tmp_path / "sweep", front))
    assert sweep.points[0].run is None
    assert "is not there" in " ".join(sweep.problems)
    write_report(tmp_path / "sweep")


def test_hostile_files_stay_text(tmp_path):
    evil = '"><script>alert(1)</script>'
    strange = [
        {**point(1, 1, 0.5, evil), "budget": 1e308},
        {"budget": "x"},
        None,
        point(5, 4, 2.0, "01"),
        {**point(3, 2, 0.5, evil), "interval": [0.9, 0.1]},
    ]
    front = {"cost": evil, "title": evil, "unit": evil, "search": evil, "points": strange, "random": [3, {}]}
    page = Page(write_report(write_sweep(tmp_path, front)).read_text())
    assert page.tags.count("script") == 1
    assert evil in page.text
    assert "4 points have no budget, cost or accuracy" in page.text


@pytest.mark.parametrize("content", ["", "[]", "{", '"x"'])
def test_a_broken_file_is_one_readable_error(tmp_path, content):
    (tmp_path / "front.json").write_text(content)
    with pytest.raises(ArchitectureFileError, match=r"front\.json"):
        write_report(tmp_path)


def test_a_sweep_without_points_has_a_page(tmp_path):
    assert "Children within budgets" in Page(write_report(write_sweep(tmp_path, {}, ())).read_text()).text
