"""Accuracy by class and the confusion matrix: the numbers of the file, whatever the file holds."""

import copy

from report_html import Page
from report_runs import EVIDENCE, share, write_run

from exports.report import write_report
from exports.report.evidence.classes_view import classes_view
from exports.report.evidence.reading import read_evidence


def view(tmp_path, evidence):
    return classes_view(read_evidence(write_run(tmp_path / "run", evidence=evidence) / "evidence.json"))


def test_a_row_for_each_class(tmp_path):
    shown = view(tmp_path, EVIDENCE)
    assert [name for name, _ in shown.columns] == [
        "class", "validation", "validation: of", "test", "test: of", "precision", "most often taken for",
    ]  # fmt: skip
    assert [[text for text, _ in row] for row in shown.rows] == [
        ["cat", "87.5 % (50 to 75)", "8", "75.0 % (50 to 75)", "8", "85.7 %", "dog (2)"],
        ["dog", "87.5 % (50 to 75)", "8", "87.5 % (50 to 75)", "8", "77.8 %", "cat (1)"],
    ]


def test_the_matrix_has_a_field_for_every_pair_that_occurs(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run", evidence=EVIDENCE)).read_text())
    for hint in (
        "cat taken for cat: 6 of 8 (75 %)",
        "cat taken for dog: 2 of 8 (25 %)",
        "dog taken for dog: 7 of 8 (88 %)",
    ):
        assert hint in page.words
    assert [attributes.get("class") for tag, attributes in page.attributes if tag == "rect"].count("heat wrong") == 4


def test_many_classes_are_a_list_of_the_most_frequent_confusions(tmp_path):
    names = [f"class {index}" for index in range(300)]
    split = {
        **share(2700, 3000),
        "classes": [share(9, 10, 10)] * 300,
        "confused": [[index, (index + 1) % 300, 1] for index in range(300)],
        "complete": True,
    }
    evidence = {"class_names": names, "splits": {"test": split}}
    shown = view(tmp_path, evidence)
    assert (len(shown.rows), shown.left_out, shown.drawings) == (200, 100, [])
    assert shown.pairs[0] == ("class 0", "class 1", "1 of 10")
    assert len(shown.pairs) == 15


def test_classes_without_examples_and_hostile_names(tmp_path):
    evil = '"><script>alert(1)</script>'
    evidence = copy.deepcopy(EVIDENCE)
    evidence["class_names"] = [evil]
    evidence["splits"]["test"]["classes"][1] = {"right": 0, "count": 0, "interval": None, "predicted": 0}
    evidence["splits"]["test"]["confused"] += [[0, 7, 1], "x", [1, 0, -1], [True, 0, 1], [0, 1]]
    folder = write_run(tmp_path / "run", evidence=evidence)
    page = Page(write_report(folder).read_text())
    assert page.tags.count("script") == 1
    assert evil in page.text
    split = read_evidence(folder / "evidence.json").splits["test"]
    assert split.confused == ((0, 1, 2), (1, 0, 1))
    assert not split.complete
