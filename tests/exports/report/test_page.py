"""The report on a run: all numbers, nothing from outside, whatever the files hold."""

import itertools
import json

import pytest
from report_html import Page
from report_runs import METRICS, architecture, columns, write_run

from exports import ArchitectureFileError, SpaceReference
from exports.report import write_report
from exports.report.charts import thinned
from exports.report.findings import findings
from exports.report.heat_map import shown_epochs
from exports.report.metrics_log import MetricsLog
from exports.report.numbers import compact, duration, ticks
from exports.report.run import read_run


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def warnings_of(folder):
    return [finding.text for finding in findings(read_run(folder)) if finding.kind == "warning"]


def test_the_page_holds_what_was_measured(tmp_path):
    text = page_of(write_run(tmp_path / "run")).text
    for shown in (
        *("81.2 %", "87.5 %", "4,321", "123 k", "123,456", "7,890", "1.75 ms", "1 min 2 s"),
        *("sep_conv_3x3", "0.61", "normal", "edge_0_2"),
        *("search.logits_learning_rate", "0.125", "resources.max_params", "torch", "2.9.1"),
        *("Temperature", "Entropy", "Parameters against the budget", "the budget, 5,000", "Penalty: budget"),
        *('build(load("architecture.json")', "onnxruntime", "torch.zeros(1, 1, 8, 8)", "mean 0.306", "0.0625"),
    ):
        assert shown in text, shown
    for name, value in METRICS.items():
        assert name in text
        assert f"{value:,.6g}" in text


def test_every_epoch_is_in_the_table_and_in_the_charts(tmp_path):
    page = page_of(write_run(tmp_path / "run"))
    for value in ("0.3", "0.45", "0.6", "0.75", "6000", "4400", "0.25"):
        assert value in page.words
    assert "child, epoch 3: 60.0 %" in page.words or "child, epoch 3: 60 %" in page.words


def test_nothing_comes_from_outside(tmp_path):
    html = write_report(write_run(tmp_path / "run")).read_text()
    page = Page(html)
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not page.values("src", "xlink:href", "action", "data")
    assert all(link.startswith("#") for link in page.values("href"))
    assert not {"img", "iframe", "link", "object", "embed", "base", "form"} & set(page.tags)
    assert "default-src 'none'" in page.values("content")[-1]


def test_every_drawing_says_what_it_shows(tmp_path):
    page = page_of(write_run(tmp_path / "run"))
    drawings = [attributes for tag, attributes in page.attributes if tag == "svg"]
    assert len(drawings) > 10
    for attributes in drawings:
        assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


def test_hostile_text_stays_text(tmp_path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    cells = {evil: [{"from": 0, "to": 1, "op": evil, "probability": 0.5}]}
    record = architecture(cells, settings={evil: {evil: evil}}, versions={evil: evil}, metrics={evil: 1.0})
    folder = write_run(tmp_path / "run", record, tuned={evil: evil}, input_shape=[evil], normalisation=evil)
    html = write_report(folder).read_text()
    page = Page(html)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not any(name.startswith("on") for _, attributes in page.attributes for name in attributes)
    assert evil in page.text


@pytest.mark.parametrize(
    "name", ["summary.json", "architecture.json", "metrics.csv", "settings.yml", "model.onnx", "weights.safetensors"]
)
@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\0", b"[1, 2]", b'{"metrics": {"a": "b"}, "tuned": 3}'])
def test_a_missing_or_broken_file_is_said_and_the_rest_is_shown(tmp_path, name, content):
    folder = write_run(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    page = page_of(folder)
    if content is None:
        assert f"{name} is missing" in page.text
    if content == b"{" and name in ("summary.json", "architecture.json"):
        assert f"{name} can" in page.text
    assert "81.2 %" in page.text or "75.0 %" in page.text


def test_a_broken_network_is_said_and_the_choices_are_listed(tmp_path):
    folder = write_run(tmp_path / "run", architecture(cells=None, sample={"a": "b"}, probabilities={}, entropy={}))
    (folder / "network.json").write_text('{"nodes": 3}')
    text = page_of(folder).text
    assert "network.json cannot be used: nodes: must be a list" in text
    assert "81.2 %" in text


def test_a_cut_off_search_has_a_report(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "settings.yml").write_text("seed: 3\n")
    assert "summary.json is missing" in page_of(folder).text
    (folder / "metrics.csv").write_text(
        "epoch,step,val_acc,search/temperature\n0,3,0.5,\n0,3,,0.75\n1,6,nan,\n,,,\nx,y,1,1"
    )
    page = page_of(folder)
    assert "50.0 %" in page.text
    assert "NaN or infinity was logged in val_acc" in page.text


def test_settings_that_stand_for_more_than_the_file_holds_are_refused(tmp_path):
    lines = ["a: &a [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in itertools.pairwise("abcde")]
    content = "\n".join(lines)
    assert len(content) < 300
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "settings.yml").write_text(content)
    report = write_report(folder)
    assert report.stat().st_size < 100_000
    said = Page(report.read_text(encoding="utf-8")).text
    assert "settings.yml: not YAML that can be used: line 5" in said
    assert "stands for more than 50000 values" in said


def test_a_log_of_many_epochs_stays_small(tmp_path):
    record = architecture()
    folder = write_run(tmp_path / "run", record, columns(record, epochs=600))
    assert write_report(folder).stat().st_size < 600_000


def test_a_log_of_very_many_epochs_stays_as_small(tmp_path):
    record = architecture()
    names = ("val_acc", "search/loss", "search/temperature", "budget/params/expected")
    made = {name: [(epoch * 7919 % 1000) / 1000 for epoch in range(100_000)] for name in names}
    made["val_acc"][33_333], made["search/temperature"][77_776] = 1.0, 7.5  # extremes of one epoch each
    page = write_report(write_run(tmp_path / "run", record, made)).read_text()
    assert len(page) < 600_000
    assert "33334:100" in page  # the value under the pointer
    assert "77777:7.5" in page
    assert "300 of 100000 epochs" in page
    assert page.count('<th scope="row">') >= 300


def test_a_thinned_line_keeps_its_ends_and_its_peaks():
    points = [(epoch, 0.0) for epoch in range(1, 50_001)]
    points[12_345] = (12_346, 9.0)
    points[40_000] = (40_001, -9.0)
    kept = thinned(points, 100)
    assert len(kept) <= 400
    assert {points[0], points[-1], points[12_345], points[40_000]} <= set(kept)
    assert kept == sorted(kept)
    assert thinned(points[:400], 100) == points[:400]


@pytest.mark.parametrize("size", [1.7e308, 1e308, 1e100, 9e99, 1e-200, 1e-310, 5e-324])
def test_numbers_of_any_size_are_drawn_or_told(tmp_path, size):
    record = architecture(metrics={**METRICS, "macs": size})
    made = columns(record)
    made.update({name: [size, -size, size, size / 2] for name in made if not name.startswith("probability")})
    folder = write_run(tmp_path / "run", record, made)
    assert 'class="chart"' in write_report(folder).read_text() or size >= 1e100
    assert any("numbers beyond 1e100" in text for text in warnings_of(folder)) == (size >= 1e100)


def test_output_goes_where_it_is_asked_to(tmp_path):
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == folder / "report.html"
    assert write_report(folder / "summary.json", tmp_path / "other.html") == tmp_path / "other.html"
    assert (tmp_path / "other.html").read_text() == (folder / "report.html").read_text()


@pytest.mark.parametrize("output", [None, "missing/folder/report.html"])
def test_a_wrong_place_is_one_readable_error(tmp_path, output):
    folder = tmp_path / "empty"
    folder.mkdir()
    if output is not None:
        write_run(folder)
        output = tmp_path / output
    with pytest.raises(ArchitectureFileError):
        write_report(folder, output)


def test_a_good_run_has_no_warnings(tmp_path):
    assert warnings_of(write_run(tmp_path / "run")) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search/logit_movement": [0.0, 0.0]}, "did not move"),
        ({"search/logit_movement": [0.01, 0.01]}, "hardly moved"),
        ({"search/entropy_share": [0.9, 0.8]}, "80.0 % of the largest possible entropy"),
        ({"val_acc": ["inf"]}, "NaN or infinity"),
    ],
)
def test_warnings_of_the_log(tmp_path, changes, words):
    record = architecture()
    folder = write_run(tmp_path / "run", record, columns(record, **changes))
    assert any(words in text for text in warnings_of(folder))


@pytest.mark.parametrize(
    ("metrics", "told"), [({"validation_accuracy": 0.5}, True), ({"validation_accuracy": 0.9}, False)]
)
def test_the_child_that_was_handed_over_is_compared_with_samples(tmp_path, metrics, told):
    """Whatever it was in the search's last epoch: it may have been trained by itself since."""
    record = architecture()
    made = columns(record, **{"val_acc": [0.5], "sampled/val_acc": [0.7]})
    texts = warnings_of(write_run(tmp_path / "run", record, made, metrics=metrics))
    assert any("(50.0 %) is less accurate than sampled networks (70.0 %)" in text for text in texts) == told


def test_warnings_of_the_child(tmp_path):
    dead = {"normal": [{"from": 0, "to": 2, "op": "none"}, {"from": 1, "to": 2, "op": "none"}]}
    folder = write_run(tmp_path / "run", architecture(dead, parameters=6000))
    texts = warnings_of(folder)
    assert any("dead output" in text for text in texts)
    assert any("over budget: params 6,000 of 5,000" in text for text in texts)


def test_a_choice_that_is_not_the_most_probable_is_noted(tmp_path):
    record = architecture(probabilities={"normal/edge_0_2": {"sep_conv_3x3": 0.3, "none": 0.7}})
    notes = [finding.text for finding in findings(read_run(write_run(tmp_path / "run", record)))]
    assert any("1 choice of the child is not the most probable" in text for text in notes)


def test_labels_and_candidates_with_slashes_are_told_apart(tmp_path):
    record = architecture(sample={"a/b": "c/d"}, probabilities={"a/b": {"c/d": 1.0}}, cells={}, entropy={})
    folder = write_run(tmp_path / "run", record, {"probability/a/b/c/d": [0.5], "probability/x/y/z": [0.25]})
    assert set(read_run(folder).probabilities()) == {"a/b", "x/y"}


def test_own_spaces_are_named_in_the_code(tmp_path):
    record = architecture(space=SpaceReference(class_path="my_space.Space"))
    assert "spaces='my_space.Space'" in page_of(write_run(tmp_path / "run", record)).text


def test_rows_of_one_epoch_are_joined(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,a,b\n0,1,\n0,,2\n1,3,\n1,4,inf\n")
    log = MetricsLog.read(file)
    assert log.points("a") == [(1, 1.0), (2, 4.0)]
    assert log.points("b") == [(1, 2.0)]
    assert log.not_finite == {"b"}
    assert log.points("c") == []


def test_shown_epochs_keep_both_ends():
    assert shown_epochs(range(1, 7)) == [1, 2, 3, 4, 5, 6]
    many = shown_epochs(range(1, 151))
    assert len(many) == 30
    assert (many[0], many[-1]) == (1, 150)


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (30674, "30.7 k"), (4.2e6, "4.2 M"), (0.25, "0.25"), (-5, "-5")])
def test_compact_numbers(value, text):
    assert compact(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (59.6, "1 min 0 s"), (74, "1 min 14 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0), (-3, 7), (0.9971, 0.9982), (1e9, 3e9), (5, 5), (0, 1e-12)])
def test_ticks_enclose_the_values_and_are_few(low, high):
    found = ticks(low, high)
    assert found == sorted(set(found))
    assert found[0] <= low
    assert found[-1] >= high
    assert 2 <= len(found) <= 9


def test_summary_of_strange_types_is_no_trouble(tmp_path):
    strange = {"metrics": {"test_accuracy": [1], "macs": "x", "seconds": True}, "settings": [1], "tuned": "x"}
    folder = write_run(tmp_path / "run", **strange)
    assert "Parameters" in page_of(folder).text
    (folder / "summary.json").write_text(json.dumps([1, 2]))
    assert "Parameters" in page_of(folder).text
