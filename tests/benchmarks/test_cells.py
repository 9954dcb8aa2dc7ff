"""The protocol: what was searched is not searched again, held-out images choose, and the table is read last."""

import copy
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.cells import __main__ as cells
from benchmarks.cells.climbing import best_cell, climb, neighbors, without_dead_edges
from benchmarks.cells.flow import positive_network, synaptic_flow
from benchmarks.cells.judge import DEEP, EARLIER, JUDGE, SHALLOW, Judge, drawn_cells, merits, rank_correlation
from benchmarks.cells.page import best_trial, judge_correlation, page
from benchmarks.cells.trials import TRIALS, Trial
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

    def judged(arch: str, data: Any, settings: Any, seed: int, judge: Judge) -> dict[str, Any]:
        found.append(arch)
        made = {"judge": judge.in_words, "held_out": arch.count("3x3") / 10, "seconds": 1.0}
        return {**made, "flow": float(arch.count("conv"))} if judge.with_flow else made

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
    for judge in (SHALLOW, DEEP):
        assert {row["arch"] for row in report["ranking"] if row["judge"] == judge.in_words} == {SKIPS, CONVS}
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
    assert [(each["held_out"], each["table"]) for each in row["finalists"]] == [(0.0, 54.3), (0.6, 93.7)]
    assert "## Finalists of eight finalists, seed 4" in (tmp_path / "cells.md").read_text()


def test_a_climb_starts_at_the_found_cell(asked: list[Any], tmp_path: Path) -> None:
    cells = [SKIPS, *(arch for edge in from_arch_string(SKIPS) for arch in neighbors(SKIPS, edge))]
    lines = [f"{arch},{arch.count('3x3')}" for arch in cells]
    (tmp_path / "table.csv").write_text("arch,cifar10_test\n" + "\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRIALS, "climb", Trial(climbs=5))
        report = run(tmp_path, "--phases", "confirm,table", "--also", "climb", "--confirm", "8")
    (row,) = report["rows"]
    assert row["climbed"][0]["arch"] == SKIPS
    assert len({each["arch"] for each in row["climbed"]}) == 5
    assert row["arch"].count("nor_conv_3x3") == 1
    assert row["table"] == 1
    large = [goal for goal in report["goals"] if goal["name"].startswith("climb:")]
    assert [(goal["wanted"], goal["met"]) for goal in large] == [
        ("mean 94.25, none below 93.6", False),
        ("at most 7200 s", True),
    ]
    text = (tmp_path / "cells.md").read_text()
    assert "## Climb of climb, seed 8" in text
    assert "| cell | judged | flow | table |" in text


def _size(arch: str) -> dict[str, float]:
    return {"held_out": arch.count("skip"), "flow": arch.count("nor_conv_3x3") + 0.1 * arch.count("nor_conv_1x1")}


def test_a_climb_ends_where_no_edge_has_a_better_cell() -> None:
    measured: list[str] = []

    def flat(arch: str) -> dict[str, float]:
        measured.append(arch)
        return {"held_out": float(arch.count("nor_conv_3x3"))}

    found = climb(SKIPS, flat, 1000, seed=0)
    assert best_cell(found)["arch"] == CONVS
    assert [cell["arch"] for cell in found] == measured
    assert len(set(measured)) == len(measured) <= 1 + 2 * 6 * 4


def test_a_climb_measures_so_many_cells_at_most() -> None:
    assert len(climb(SKIPS, _size, 8, seed=3)) == 8
    assert [cell["arch"] for cell in climb(SKIPS, _size, 1, seed=3)] == [SKIPS]
    assert climb(SKIPS, _size, 8, seed=3) == climb(SKIPS, _size, 8, seed=3)
    assert climb(SKIPS, _size, 8, seed=3) != climb(SKIPS, _size, 8, seed=4)


@pytest.mark.parametrize(
    ("arch", "same"),
    [
        (CONVS, CONVS),
        # Node 2 feeds nothing, so what comes to it does not matter.
        (
            "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_3x3~1|none~2|",
            "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|nor_conv_3x3~1|none~2|",
        ),
        # Node 1 gets nothing, and node 2 nothing but from node 1.
        (
            "|none~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        ),
        (
            "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|none~2|",
            "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        ),
    ],
)
def test_edges_that_no_path_goes_over_do_not_matter(arch: str, same: str) -> None:
    assert without_dead_edges(arch) == same
    torch.manual_seed(0)
    outputs = []
    space = NasBench201Space(channels=2, cells_per_stage=1)
    for each in (arch, same):
        supernet: Any = copy.deepcopy(space)
        outputs.append(supernet.freeze(from_arch_string(each)).eval()(torch.ones(1, 3, 8, 8)))
    assert torch.equal(*outputs)


def test_neighbors_differ_on_one_edge() -> None:
    found = neighbors(CONVS, "cell/edge_1_3")
    assert len(set(found)) == 4
    before = from_arch_string(CONVS)
    for arch in found:
        after = from_arch_string(arch)
        assert [label for label in before if before[label] != after[label]] == ["cell/edge_1_3"]


def test_merits_are_sums_of_ranks_where_flow_counts() -> None:
    cells = [{"held_out": 0.5, "flow": 10.0}, {"held_out": 0.9, "flow": 9.0}, {"held_out": 0.6, "flow": 900.0}]
    assert merits(cells) == [1 + 2, 3 + 1, 2 + 3]
    assert merits([{"held_out": 0.5}, {"held_out": 0.9}]) == [0.5, 0.9]
    equal = [{"held_out": 0.5, "flow": 2.0}, {"held_out": 0.6, "flow": 1.0}]
    assert best_cell(equal) is equal[1]  # the more accurate one


def test_flow_is_zero_where_no_path_leads_through() -> None:
    settings = NasBench201Settings(channels=2)
    assert synaptic_flow(SKIPS.replace("skip_connect", "none"), 1, settings) == -math.inf
    assert -math.inf < synaptic_flow(SKIPS, 1, settings) < synaptic_flow(CONVS, 1, settings)


@pytest.mark.parametrize(
    "arch", [SKIPS, CONVS, "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"]
)
def test_flow_is_how_fast_the_outputs_grow_with_all_weights(arch: str) -> None:
    """Sum of w dR/dw = dR/ds, where s scales all weights: found without a gradient, error of the order 1e-8."""
    settings = NasBench201Settings(channels=2)
    network = positive_network(arch, 1, settings)

    def outputs(scale: float) -> float:
        made = {name: each.detach().clone() for name, each in network.named_parameters()}
        for each in made.values():
            each.mul_(scale if each.ndim > 1 else 1)
        ones = torch.ones(1, 3, 16, 16, dtype=torch.float64)
        return float(torch.func.functional_call(network, made, (ones,)).sum())

    with torch.no_grad():
        slope = (outputs(1 + 1e-4) - outputs(1 - 1e-4)) / 2e-4
    assert math.exp(synaptic_flow(arch, 1, settings)) == pytest.approx(slope, rel=1e-5)


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
