"""What a stranger reads first: found, within the budget, decided, better than chance, used how."""

import copy
import json

import pytest
from report_html import Page
from report_runs import EVIDENCE, METRICS, architecture, columns, write_run

from exports.report import write_report
from exports.report.evidence.answers import answers, bound_rows
from exports.report.run import read_run


def answer(folder, question):
    return next((each for each in answers(read_run(folder)) if each.question.startswith(question)), None)


def test_all_five_are_on_the_page_with_links_that_lead_somewhere(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run", evidence=EVIDENCE)).read_text())
    for shown in (
        "A child of 4,321 parameters (2 choices): 87.5 % (95 % interval 50.0 to 75.0 %) on validation data",
        "81.2 % (95 % interval 50.0 to 75.0 %) on test data, looked at once",
        "Parameters 4,321 of at most 5,000",
        "no choice still moved at the end",
        "80.0 % (95 % interval 70.0 to 85.0 %) when it was chosen, 2 random children 40.0 % on average",
        "It beat 2 of 2.",
        "architecture.json, weights.safetensors, model.onnx",
    ):
        assert shown in page.text, shown
    identifiers = page.values("id")
    assert {link.removeprefix("#") for link in page.values("href")} <= set(identifiers)
    assert {"child", "budget", "random", "classes", "use", "epochs"} <= set(identifiers)


@pytest.mark.parametrize(
    ("bound", "verdict", "share"), [(4321, "yes", "100 %"), (4320, "no", "100 %"), (8642, "yes", "50 %")]
)
def test_within_the_budget(tmp_path, bound, verdict, share):
    settings = {"resources": {"max_params": bound, "max_macs": 200_000.0, "target": 3.0}}
    folder = write_run(tmp_path / "run", architecture(settings=settings))
    assert answer(folder, "Within").verdict == verdict
    rows = bound_rows(read_run(folder))
    assert [(row.name, row.share, row.within) for row in rows] == [
        ("Parameters", share, verdict == "yes"), ("MACs", "62 %", True),
    ]  # fmt: skip


def test_a_bound_that_nobody_measured_is_not_called_kept(tmp_path):
    record = architecture(settings={"resources": {"max_params": 5000, "max_int8_loss": 0.01}})
    assert answer(write_run(tmp_path / "run", record), "Within").verdict == "unclear"
    record = architecture(settings={}, metrics=METRICS)
    assert answer(write_run(tmp_path / "other", record), "Within") is None


@pytest.mark.parametrize(
    ("child", "interval", "verdict"),
    [
        (0.8, [0.7, 0.85], "yes"),
        (0.52, [0.42, 0.62], "unclear"),
        (0.45, [0.35, 0.55], "unclear"),
        (0.4, [0.3, 0.5], "no"),
    ],
)
def test_better_than_random_children(tmp_path, child, interval, verdict):
    evidence = copy.deepcopy(EVIDENCE)
    evidence["random"]["child"] = {"accuracy": child, "interval": interval}
    assert answer(write_run(tmp_path / "run", evidence=evidence), "Better").verdict == verdict


def test_without_random_children_nothing_is_claimed(tmp_path):
    assert answer(write_run(tmp_path / "run"), "Better") is None


def test_a_search_has_ended_where_its_child_began_to_be_trained_alone(tmp_path):
    record = architecture()
    made = columns(record, epochs=8)
    made["search/logit_movement"] = [0.4] * 4 + [0.0] * 4
    made["probability/normal/edge_0_2/none"] = [0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4]
    assert answer(write_run(tmp_path / "run", record, made), "Had").verdict == "no"
    made["search/logit_movement"] = [0.4] * 8
    assert answer(write_run(tmp_path / "other", record, made), "Had").verdict == "yes"


def test_an_interval_of_another_accuracy_is_not_shown(tmp_path):
    evidence = copy.deepcopy(EVIDENCE)
    evidence["splits"]["test"]["right"] = 1
    assert "81.2 % on test data" in answer(write_run(tmp_path / "run", evidence=evidence), "What").text


@pytest.mark.parametrize(
    "content", ["[]", "{", "null", '{"splits": 3, "random": []}', '{"splits": {"test": {"right": 1e400, "count": 0}}}']
)
def test_a_broken_file_is_said_or_left_out(tmp_path, content):
    folder = write_run(tmp_path / "run")
    (folder / "evidence.json").write_text(content)
    text = Page(write_report(folder).read_text()).text
    assert "81.2 %" in text
    assert ("evidence.json cannot be read" in text) == (not isinstance(_parsed(content), dict))


def _parsed(content):
    try:
        return json.loads(content)
    except ValueError:
        return None
