"""Time to quality: what counts as having got there, and that a small comparison runs."""

import json
from pathlib import Path

import pytest

from benchmarks.time_to_quality.__main__ import main
from benchmarks.time_to_quality.page import goals, page, seconds_to


def test_a_level_is_reached_when_it_is_kept() -> None:
    points = [{"seconds": s, "accuracy": a} for s, a in ((1.0, 0.2), (2.0, 0.9), (3.0, 0.8), (4.0, 0.95), (5.0, 0.92))]
    assert seconds_to(points, 0.9) == 4.0
    assert seconds_to(points, 0.8) == 2.0
    assert seconds_to(points, 0.94) is None
    assert seconds_to([], 0.1) is None


def test_the_page_says_how_many_got_there() -> None:
    rows = [
        {"task": "digits", "method": method, "seed": seed, "points": [{"seconds": 3.0 + seed, "accuracy": accuracy}]}
        for method, accuracy in (("snas", 0.96), ("darts", 0.3))
        for seed in (0, 1)
    ]
    text = page({"command": "c", "rows": rows})
    assert "| method | 90% held out | 95% held out | 97% held out |" in text
    assert "| snas | 3.5 (2 of 2) | 3.5 (2 of 2) | never (0 of 2) |" in text
    assert "| darts | never (0 of 2) | never (0 of 2) | never (0 of 2) |" in text


def test_the_goal_is_every_seed_and_sooner_than_all_others() -> None:
    def rows(method: str, seconds: list[float], accuracy: float) -> list[dict[str, object]]:
        return [
            {"task": "digits", "method": method, "seed": seed, "points": [{"seconds": each, "accuracy": accuracy}]}
            for seed, each in enumerate(seconds)
        ]

    ours, theirs, never = rows("snas", [3.0, 5.0], 0.96), rows("random", [4.5, 4.5], 0.96), rows("darts", [1.0], 0.3)
    first, second, third = goals([*ours, *theirs, *never])
    assert (first["name"], first["met"]) == ("digits: seconds to 90% held out", True)
    assert first["measured"] == "snas 4.0 (2 of 2), random 4.5 (2 of 2), darts never (0 of 1)"
    assert second["met"]
    assert not third["met"]  # nobody gets there
    assert not goals([*ours, *rows("random", [3.5, 3.5], 0.96)])[0]["met"]
    assert not goals([*ours, *rows("snas", [1.0], 0.3), *never])[0]["met"]  # not in every seed


def test_the_cells_of_a_table_have_levels_of_their_own() -> None:
    points = [{"seconds": s, "accuracy": 0.5, "arch": "x", "table": t} for s, t in ((1.0, 91.0), (2.0, 93.2))]
    rows = [{"task": "nasbench201", "method": "snas", "seed": 0, "points": points}]
    reached = {goal["name"]: goal["measured"] for goal in goals(rows)}
    assert reached["nasbench201: seconds to a cell of 90% in the table"] == "snas 1.0 (1 of 1)"
    assert reached["nasbench201: seconds to a cell of 93% in the table"] == "snas 2.0 (1 of 1)"
    assert reached["nasbench201: seconds to a cell of 93.5% in the table"] == "snas never (0 of 1)"
    assert "| a cell of 93% in the table |" in page({"command": "c", "rows": rows})


@pytest.mark.slow
def test_a_small_comparison_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    words = ["--seeds", "0", "--epochs", "1", "--candidates", "2", "--output", str(tmp_path)]
    assert main([*words, "--methods", "snas,random"]) == 0
    first = json.loads((tmp_path / "time_to_quality.json").read_text())["rows"]
    assert main([*words, "--methods", "snas,random,gumbel_darts"]) == 0
    rows = json.loads((tmp_path / "time_to_quality.json").read_text())["rows"]
    assert rows[:2] == first
    assert [row["method"] for row in rows] == ["snas", "random", "gumbel_darts"]
    for row in rows:
        (point,) = row["points"]
        assert point["seconds"] > 0
        assert 0 <= point["accuracy"] <= 1
    assert (tmp_path / "time_to_quality.png").stat().st_size > 5000
