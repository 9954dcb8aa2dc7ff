"""The protocol: what was searched is not searched again, held-out images choose, and the table is read last."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.cells import __main__ as cells
from benchmarks.cells.judge import EARLIER, JUDGE, drawn_cells, rank_correlation
from benchmarks.cells.page import best_trial, judge_correlation, page
from search_spaces import NasBench201Space, from_arch_string
from trials.bench.settings import NasBench201Settings

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
CONVS = SKIPS.replace("skip_connect", "nor_conv_3x3")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Searches and judgments are made up: dropping finds convolutions, all else skips."""
    found: list[Any] = []

    def search(name: str, make: Any, data: Any, search: Any, training: Any, seed: int, *_: Any) -> Any:
        found.append((search.drop_to, search.temperature_schedule, seed))
        sample = from_arch_string(SKIPS if search.drop_to is None else CONVS)
        probable = [from_arch_string(arch) for arch in (SKIPS, CONVS)]
        return SimpleNamespace(sample=sample, probable=probable, child_accuracy=0.5, images=1, seconds=2.0, entropy=[])

    def judged(arch: str, *_: Any) -> dict[str, Any]:
        found.append(arch)
        return {"judge": JUDGE, "held_out": 0.7 if arch == CONVS else 0.3, "seconds": 1.0}

    monkeypatch.setattr(cells, "search_with", search)
    monkeypatch.setattr(cells, "judged", judged)
    seconds = itertools.count()
    monkeypatch.setattr(cells, "time", SimpleNamespace(process_time=lambda: float(next(seconds))))
    monkeypatch.setattr(cells, "load_part", lambda *_: SimpleNamespace(input_shape=(3, 8, 8), classes=10))
    (tmp_path / "table.csv").write_text(f"arch,cifar10_test\n{SKIPS},54.3\n{CONVS},93.7\n")
    return found


def run(folder: Path, *more: str) -> dict[str, Any]:
    words = ["--data", "d", "--table", str(folder / "table.csv"), "--output", str(folder / "cells.json"), *more]
    assert cells.main(words) == 0
    return dict(json.loads((folder / "cells.json").read_text()))


def test_phases_one_after_the_other(asked: list[Any], tmp_path: Path) -> None:
    trials = ("--trials", "exponential,drop to 2", "--seeds", "0", "--above", "50")
    report = run(tmp_path, "--phases", "rank,choose", *trials)
    assert sorted(row["arch"] for row in report["ranking"]) == sorted([SKIPS, CONVS])
    assert report["chosen"] == "drop to 2"
    assert [row["table"] for row in report["rows"]] == [None, None]  # nothing that was found has been looked up
    assert [each for each in asked if isinstance(each, tuple)] == [(None, "exponential", 0), (2, "exponential", 0)]
    asked.clear()
    report = run(tmp_path, "--confirm", "4,5", "--also", "", *trials)
    assert [each for each in asked if isinstance(each, tuple)] == [(2, "exponential", 4), (2, "exponential", 5)]
    assert [row["table"] for row in report["rows"]] == [54.3, 93.7, 93.7, 93.7]
    text = (tmp_path / "cells.md").read_text()
    assert "| drop to 2: CIFAR-10 accuracy in the table, 2 seeds | mean 94.0, none below 93.6 | 93.70 ± 0.00" in text
    assert [goal["met"] for goal in report["goals"]] == [False]
    asked.clear()
    assert (
        run(tmp_path, "--trials", "defaults", "--confirm", "4,5", "--also", "")["chosen"] == "drop to 2"
    )  # the table was read
    assert asked == []


def test_a_judge_that_ranks_badly_chooses_nothing(asked: list[Any], tmp_path: Path) -> None:
    ranking = [{"judge": JUDGE, "arch": f"cell{n}", "held_out": -float(n), "table": float(n)} for n in range(3)]
    (tmp_path / "cells.json").write_text(json.dumps({"ranking": ranking, "rows": [], "chosen": None}))
    words = ("--phases", "choose,confirm,table", "--also", "defaults,drop to 2", "--confirm", "4,5")
    report = run(tmp_path, *words)
    assert report["chosen"] is None
    assert [(row["phase"], row["trial"], row["seed"]) for row in report["rows"]] == [
        ("confirm", trial, seed) for seed in (4, 5) for trial in ("defaults", "drop to 2")
    ]
    assert {goal["name"]: (goal["measured"], goal["met"]) for goal in report["goals"]} == {
        f"rank correlation of a judge ({JUDGE}) and the table over 3 good cells": ("-1.00", False),
        "defaults: CIFAR-10 accuracy in the table, 2 seeds": ("54.30 ± 0.00, the worst 54.30", False),
        "drop to 2: CIFAR-10 accuracy in the table, 2 seeds": ("93.70 ± 0.00, the worst 93.70", False),
        "drop to 2: processor time of a search": ("1.00 of it", True),
    }
    assert "None does, so nothing is chosen." in (tmp_path / "cells.md").read_text()


def test_of_finalists_the_judge_takes_the_best(asked: list[Any], tmp_path: Path) -> None:
    report = run(tmp_path, "--phases", "confirm,table", "--also", "eight finalists", "--confirm", "4")
    (row,) = report["rows"]
    assert (row["arch"], row["table"]) == (CONVS, 93.7)
    assert [(each["held_out"], each["table"]) for each in row["finalists"]] == [(0.3, 54.3), (0.7, 93.7)]
    assert "## Finalists of eight finalists, seed 4" in (tmp_path / "cells.md").read_text()


def test_each_judge_has_its_own_ranking(asked: list[Any], tmp_path: Path) -> None:
    earlier = [{"arch": f"cell{n}", "held_out": -float(n), "table": float(n)} for n in range(3)]
    now = [{**row, "judge": JUDGE, "held_out": row["table"]} for row in earlier]
    assert judge_correlation([*earlier, *now]) == pytest.approx(1)
    assert judge_correlation([*earlier, *now], EARLIER) == pytest.approx(-1)
    (tmp_path / "cells.json").write_text(json.dumps({"ranking": [*earlier, *now], "rows": [], "chosen": None}))
    report = run(tmp_path, "--phases", "choose", "--trials", "drop to 2", "--seeds", "0")
    assert report["chosen"] == "drop to 2"
    assert [goal["met"] for goal in report["goals"]] == [False, True]


def test_seeds_that_chose_do_not_confirm(asked: list[Any], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--seeds", "0,4")


def test_the_best_mean_is_chosen() -> None:
    rows = [{"phase": "choose", "trial": name, "judged": value} for name, value in (("a", 0.6), ("b", 0.5), ("b", 0.8))]
    assert best_trial([*rows, {"phase": "confirm", "trial": "a", "judged": 1.0}]) == "b"


def test_cells_are_drawn_from_good_ones() -> None:
    table = {f"cell{n}": float(n) for n in range(100)}
    drawn = drawn_cells(5, table, above=90)
    assert len(set(drawn)) == 5
    assert all(table[arch] >= 90 for arch in drawn)
    assert drawn == drawn_cells(5, table, above=90)
    assert rank_correlation([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)


def test_an_empty_report_has_a_page() -> None:
    assert "Wanted: a mean of 94.0" in page({"command": "c", "ranking": [], "rows": [], "chosen": None})


def test_the_judges_network_is_the_cells() -> None:
    settings = NasBench201Settings()
    child: Any = NasBench201Space(channels=settings.channels, cells_per_stage=2).freeze(from_arch_string(CONVS))
    convolutions = [each for each in child.modules() if getattr(each, "kernel_size", None) == (3, 3)]
    assert len(convolutions) == 1 + 2 * 2 + 3 * 2 * 6  # stem, residual blocks, three stages of two cells of six edges
