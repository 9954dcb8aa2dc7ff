import json

import pytest

from exports.run_folder import SearchResult, Summary, read_summary
from snas_nni.errors import SettingError


def test_what_is_read_and_what_need_not_be_there(tmp_path):
    assert read_summary(tmp_path) == Summary(tmp_path / "summary.json")
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"class_names": ["a"], "normalisation": {"mean": [1], "deviation": [2.5]}, "x": 1}))
    assert read_summary(tmp_path) == Summary(path, ["a"], ((1.0,), (2.5,)))
    (tmp_path / "last").mkdir()
    assert read_summary(tmp_path / "last") == read_summary(tmp_path)
    (tmp_path / "other").mkdir()
    assert read_summary(tmp_path / "other").class_names is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"class_names": "abc"}', "class_names must be a list of texts"),
        ('{"class_names": [1]}', "class_names must be a list of texts"),
        ('{"normalisation": [1]}', "must have mean and deviation"),
        ('{"normalisation": {"mean": [1]}}', "normalisation.deviation must be a list of finite numbers"),
        ('{"normalisation": {"mean": [1], "deviation": [NaN]}}', "normalisation.deviation must be a list"),
        ('{"normalisation": {"mean": [1], "deviation": [0]}}', "deviation above 0"),
        ('{"normalisation": {"mean": [1, 2], "deviation": [1]}}', "for each channel"),
        ('{"normalisation": {"mean": [true], "deviation": [1]}}', "normalisation.mean must be a list"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path, content, words):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(SettingError, match=words) as refused:
        read_summary(tmp_path)
    assert str(tmp_path / "summary.json") in str(refused.value)


def test_a_notebook_shows_a_result(tmp_path):
    html = SearchResult(tmp_path / "<b>", {"test_accuracy": 0.875, "macs": 12345.0}, 1000)._repr_html_()
    for part in ("&lt;b&gt;", "test accuracy", "87.5%", "12345", "1,000"):
        assert part in html
