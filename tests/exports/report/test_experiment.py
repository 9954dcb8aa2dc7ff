"""The report on an experiment: every trial, and the front of accuracy against cost."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_html import Page
from report_runs import trial, write_experiment, write_run

from exports import ArchitectureFileError
from exports.report import pareto_front, write_report
from exports.report.experiment import read_experiment

POINTS = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12)


def beats(one, other):
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(POINTS)
def test_the_front_is_what_no_other_point_beats(points):
    front = pareto_front(points)
    assert set(front) == {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert front == sorted(front, key=lambda index: points[index][0])


def test_a_front_by_hand():
    assert pareto_front([(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.7), (4, 0.9)]) == [1, 3, 0]
    assert pareto_front([]) == []


@pytest.fixture
def experiment(tmp_path):
    runs = [write_run(tmp_path / "trials" / str(number)) for number in range(2)]
    trials = [
        trial(0, 0.9, 3000, runs[0]),
        trial(1, 0.7, 1000, runs[1]),
        trial(2, 0.6, 2000),
        trial(3, 0.5, None, status="FAILED", final={}),
    ]
    return write_experiment(tmp_path / "runs" / "abc", trials)


def test_all_trials_with_their_parameters_are_on_the_page(experiment):
    page = Page(write_report(experiment).read_text())
    for shown in ("90.0 %", "70.0 %", "60.0 %", "failed", "3,000", "30,000", "0.2", "42 s", "3 of 4", "5 min 0 s"):
        assert shown in page.text, shown
    identifiers = page.values("id")
    assert {"trial-0", "trial-1", "trial-2", "trial-3", "best"} <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(identifiers)


def test_the_front_is_marked(experiment):
    page = Page(write_report(experiment).read_text())
    labels = page.values("aria-label")
    assert any("against parameters. On the front: trials 0, 1" in label for label in labels)
    circles = [attributes["class"] for tag, attributes in page.attributes if tag == "circle"]
    assert circles.count("dot front-dot") == 4  # two trials against parameters, and against MACs
    assert circles.count("dot plain-dot") == 2
    assert page.words.count("front") == 2


def test_the_best_copy_is_read_where_the_trials_folder_is_gone(experiment, tmp_path):
    shutil.move(tmp_path / "trials" / "0", experiment / "best")
    assert read_experiment(experiment).best.run.folder == experiment / "best"
    shutil.rmtree(tmp_path / "trials")
    page = Page(write_report(experiment).read_text())
    assert "trials 1, 2: their runs' folders are not on this machine" in page.text
    assert "The best trial: 0" in page.text


def test_hostile_trials_stay_text(tmp_path):
    evil = "<script>alert(1)</script>\"'>"
    strange = [
        trial(0, 0.9, 3000, parameters={evil: evil, "x": [1, {"y": evil}]}, status=evil, id=evil),
        {**trial(1, 0.5, 5), "folder": 7, "final": {"default": "nan", "parameters": "x"}, "number": "z", "start": "?"},
        trial(2, 1e308, 1e308, folder="\0"),
        "no trial",
        None,
    ]
    page = Page(write_report(write_experiment(tmp_path, strange, best=evil)).read_text())
    assert page.tags.count("script") == 1
    assert evil in page.text


@pytest.mark.parametrize("content", ["", "[]", "{", '"x"'])
def test_a_broken_experiment_is_one_readable_error(tmp_path, content):
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(ArchitectureFileError, match=r"experiment\.json"):
        write_report(tmp_path)


def test_an_experiment_without_trials_has_a_page(tmp_path):
    assert "has no trials" in Page(write_report(write_experiment(tmp_path, [], best=None)).read_text()).text
