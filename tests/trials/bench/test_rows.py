import json

import pytest

from snas_nni.errors import SettingError
from trials.bench.rows import Rows


def test_a_file_holds_every_row_at_any_time_and_is_gone_on_from(tmp_path):
    path = tmp_path / "new" / "rows.json"
    rows = Rows(path, {"images": 4}, "first")
    rows.keep({"method": "snas", "seed": 0, "value": 1})
    assert json.loads(path.read_text()) == {
        "command": "first",
        "settings": {"images": 4},
        "rows": [{"method": "snas", "seed": 0, "value": 1}],
    }
    again = Rows(path, {"images": 4}, "second")
    again.keep({"method": "snas", "seed": 1, "value": 2})
    again.keep({"method": "snas", "seed": 0, "value": 3})
    assert again.find("snas", 0) == {"method": "snas", "seed": 0, "value": 3}
    assert again.find("darts", 0) is None
    document = json.loads(path.read_text())
    assert document["command"] == "second"
    assert [(row["seed"], row["value"]) for row in document["rows"]] == [(1, 2), (0, 3)]
    assert [each.name for each in path.parent.iterdir()] == ["rows.json"]


def test_results_of_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.json"
    Rows(path, {"images": 4, "epochs": 2}, "").keep({"method": "snas", "seed": 0})
    before = path.read_bytes()
    with pytest.raises(SettingError, match=r"rows\.json holds results of other settings \(images\)"):
        Rows(path, {"images": 5, "epochs": 2}, "")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [{"method": "snas"}], "settings": {}}', '{"rows": []}'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(SettingError, match=r"rows\.json is not a result file of this command"):
        Rows(path, {}, "")


def test_a_setting_that_is_newer_than_the_file_counts_as_its_default(tmp_path):
    path = tmp_path / "rows.json"
    Rows(path, {"search": {"epochs": 2}}, "").keep({"method": "snas", "seed": 0})
    defaults = {"search": {"epochs": 30, "fast": False}, "images": None}
    now = {"search": {"epochs": 2, "fast": False}, "images": None}
    assert Rows(path, now, "", defaults).find("snas", 0) is not None
    with pytest.raises(SettingError, match=r"other settings \(search\)"):
        Rows(path, {"search": {"epochs": 2, "fast": True}, "images": None}, "", defaults)
    with pytest.raises(SettingError, match=r"other settings \(images\)"):
        Rows(path, {**now, "images": 4}, "", defaults)


def test_two_runs_of_other_rows_share_a_file(tmp_path):
    one, other = (Rows(tmp_path / "rows.json", {}, "") for _ in range(2))
    one.keep({"method": "snas", "seed": 0})
    other.keep({"method": "darts", "seed": 0})
    one.keep({"method": "snas", "seed": 1})
    found = Rows(tmp_path / "rows.json", {}, "").rows
    assert [(row["method"], row["seed"]) for row in found] == [("snas", 0), ("darts", 0), ("snas", 1)]
