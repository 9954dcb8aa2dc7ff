"""What was wanted of the comparisons is in the files of their results, and follows from their rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.verb_goals import RESULTS, nasbench201_goals, retention_goals, write_goals

RESULTS_FOLDER = Path(__file__).parents[2] / "docs" / "results"


def rows(**values: float) -> list[dict[str, Any]]:
    return [
        {"method": method, "seed": seed, "table_test": 100 * value + seed, "search_accuracy": 0.5}
        | {"child_accuracy": value, "retrained_accuracy": value}
        for method, value in values.items()
        for seed in (0, 1)
    ]


def test_the_mean_over_seeds_counts() -> None:
    reached, best = nasbench201_goals(rows(snas=0.932, darts=0.94))
    assert (reached["measured"], reached["met"]) == (93.7, True)
    assert (best["measured"], best["met"]) == ("snas 93.70, darts 94.50", False)
    assert not nasbench201_goals(rows(snas=0.93, darts=0.9))[0]["met"]


def test_a_child_keeps_what_the_supernet_had() -> None:
    kept, derived, retrained = retention_goals(rows(snas=0.495, darts=0.2))
    assert (kept["measured"], kept["met"]) == ("-0.50", True)
    assert derived["met"]
    assert retrained["met"]
    assert not retention_goals(rows(snas=0.48, darts=0.2))[0]["met"]
    assert not retention_goals(rows(snas=0.48, darts=0.6))[1]["met"]


@pytest.mark.parametrize("path", sorted(RESULTS_FOLDER.rglob("*.json")), ids=lambda path: path.stem)
def test_every_result_names_its_goals(path: Path) -> None:
    goals = json.loads(path.read_text())["goals"]
    assert goals
    assert all(set(goal) >= {"name", "wanted", "measured", "met"} for goal in goals)


def test_they_are_written_beside_the_rows(tmp_path: Path) -> None:
    for name in RESULTS:
        (tmp_path / name).write_text((RESULTS_FOLDER / name).read_text())
    write_goals(tmp_path)
    for name in RESULTS:
        assert json.loads((tmp_path / name).read_text()) == json.loads((RESULTS_FOLDER / name).read_text())
