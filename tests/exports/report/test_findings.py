"""What a reader is warned of: a search that was still moving, a child no better than a random one."""

import pytest
from report_runs import METRICS, architecture, columns, write_run

from exports.report.evidence.answers import answers
from exports.report.findings import findings
from exports.report.run import read_run


def texts(folder):
    return [finding.text for finding in findings(read_run(folder)) if finding.kind == "warning"]


@pytest.mark.parametrize(("last", "moving"), [([0.25, 0.31, 0.61], True), ([0.25, 0.6, 0.61], False)])
def test_a_choice_that_was_still_moving_is_named(tmp_path, last, moving):
    record = architecture()
    made = columns(record, epochs=4)
    made["probability/normal/edge_0_2/sep_conv_3x3"] = [0.25, *last]
    found = [text for text in texts(write_run(tmp_path / "run", record, made)) if "still moving" in text]
    assert bool(found) == moving
    if moving:
        assert found[0].startswith("1 of 2 choices were still moving")
        assert "normal/edge_0_2" in found[0]


def test_only_the_last_tenth_of_a_long_search_counts(tmp_path):
    record = architecture()
    made = columns(record, epochs=40)
    # 0.07 in each of the last four epochs: no epoch moves it far, together they do.
    made["probability/normal/edge_0_2/none"] = [0.1] * 36 + [0.17, 0.24, 0.31, 0.38]
    assert any("still moving" in text for text in texts(write_run(tmp_path / "run", record, made)))


@pytest.mark.parametrize(("random", "warned"), [(0.9, True), (0.87, True), (0.5, False), (None, False)])
def test_a_child_that_is_no_better_than_random_ones(tmp_path, random, warned):
    metrics = METRICS if random is None else {**METRICS, "random_validation_accuracy": random}
    folder = write_run(tmp_path / "run", architecture(metrics=metrics), metrics=metrics)
    assert any("no better than random children" in text for text in texts(folder)) == warned


@pytest.mark.parametrize(
    ("settle", "start", "warned"), [(3, "sensitivity", False), (2, "sensitivity", True), (3, "random", True)]
)
def test_logits_that_rest_are_warned_of_unless_they_were_measured(tmp_path, settle, start, warned):
    record = architecture()
    made = {**columns(record, epochs=3), "search/logit_movement": [0.0] * 3}
    search = {"epochs": 3, "warmup_epochs": 0, "settle_epochs": settle, "initial_logits": start}
    folder = write_run(tmp_path / "run", record, made, settings={"search": search})
    assert any("did not move" in text for text in texts(folder)) == warned


@pytest.mark.parametrize(("start", "warned"), [("sensitivity", False), ("random", True)])
def test_measured_logits_need_not_decide(tmp_path, start, warned):
    record = architecture()
    made = {**columns(record, epochs=3), "search/entropy_share": [0.9] * 3}
    search = {"epochs": 3, "warmup_epochs": 0, "settle_epochs": 3, "initial_logits": start}
    folder = write_run(tmp_path / "run", record, made, settings={"search": search})
    assert any("had not decided" in text for text in texts(folder)) == warned
    (decided,) = [each for each in answers(read_run(folder)) if each.question == "Had the search decided?"]
    assert (decided.verdict == "no") == warned
    assert ("Nothing was searched" in decided.text) != warned
