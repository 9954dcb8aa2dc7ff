"""The benchmark of speed: what grows is measured far enough, and told with its memory and with what options change."""

import pytest

from benchmarks.speed.plan import OPTIONS, plan
from benchmarks.speed.summary import summarise
from benchmarks.speed.table import goals, page


def planned(*parts: str, quick: bool = False) -> list[dict[str, object]]:
    return [
        {"part": each.part, "name": each.name, "job": each.job}
        for each in plan(parts, batch=32, threads=2, quick=quick)
    ]


def test_growth_goes_to_64_candidates_and_500_labels() -> None:
    jobs = [run["job"] for run in planned("growth")]
    largest = {}
    for run in planned("growth"):
        job = run["job"]
        assert isinstance(job, dict)
        largest[run["name"]] = max(largest.get(run["name"], 0), job["value"])
        assert job["axis"] in job["base"]
    assert largest == {"cells": 8, "channels": 32, "candidates": 64, "labels": 500, "batch": 64}
    assert len(jobs) == 2 * 5 * 4
    sizes = [run["job"] for run in planned("size")]
    assert {(job["labels"], job["candidates"]) for job in sizes if isinstance(job, dict)} >= {(4, 64), (500, 4)}


def test_lines_of_time_and_memory() -> None:
    runs = [
        {"part": "growth", "name": "labels", "result": {"points": [[n, 0.1 + 0.002 * n, 5 + 0.5 * n]]}}
        for n in (62, 125, 250, 500)
    ]
    runs.append({"part": "size", "name": "labels 500", "result": {"costs": 1.5, "report": 0.25}})
    found = summarise(runs)
    assert found["growth"]["labels"]["slope"] == pytest.approx(0.002)
    assert found["growth"]["labels"]["memory"]["slope"] == pytest.approx(0.5)
    text = page({"machine": {}, "command": "c", **found})
    assert "| labels | 2.00 | 100.0 | 1.000 | 512.0 | 1.000 |" in text
    assert "| space | costs | report |" in text
    assert "| labels 500 | 1.50 | 0.25 |" in text
    # Results from before memory was measured.
    older = summarise([{"part": "growth", "name": "batch", "result": {"points": [[1, 0.1], [2, 0.2], [3, 0.3]]}}])
    assert "| batch | 100.00 | 0.0 | 1.000 |  |  |" in page({"machine": {}, "command": "c", **older})


def test_options_are_compared_with_the_same_rival() -> None:
    names = {run["name"] for run in planned("options")}
    assert names == {f"{s}/{k}/{o}" for s in ("hub", "snas") for k in ("uniform", "peaked") for o in OPTIONS}
    runs = [
        {"part": part, "name": name, "result": {"steps": [[seconds, seconds]], "memory_mib": 1.0}}
        for part, name, seconds in (
            ("schedule", "hub/uniform/gumbel", 4.0),
            ("options", "hub/uniform/both", 0.5),
            ("options", "snas/uniform/both", 0.5),
        )
    ]
    by = summarise(runs)["option_update_ratio"]["by"]
    assert {name: ratio["median"] for name, ratio in by.items()} == {"hub/uniform/both": 8.0}


def test_goals_are_met_by_the_median_in_the_direction_that_was_wanted() -> None:
    def row(median: float) -> dict[str, float]:
        return {"median": median, "min": median - 1, "max": median + 1}

    report = {
        "update_ratio_gumbeldarts": {"by": {"hub": row(8.0), "snas": row(7.9)}},
        "memory_ratio": {"by": {"hub": row(0.5), "snas": row(0.51)}},
        "lightning_overhead": row(0.02),
        "loader_share": row(9.0),  # nothing is wanted of it
    }
    found = goals(report)
    assert [goal["met"] for goal in found] == [True, False, True, False, True]
    assert found[0] == {
        "name": "GumbelDARTS / SNAS, time per update of weights and logits, hub",
        "wanted": "at least 8",
        "measured": "8 (7 to 9)",
        "met": True,
    }
    assert found[-1]["name"] == "Lightning and bookkeeping, share of a bare step"
