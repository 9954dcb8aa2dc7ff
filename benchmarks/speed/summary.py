"""From raw runs to the numbers that answer the questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

from benchmarks.speed.growth import fit_line
from snas_nni.one_shot.settings import SearchSettings

__all__ = ["DEFAULT_TOLERANCE", "mean_step", "summarise"]

Run = dict[str, Any]
DEFAULT_TOLERANCE = SearchSettings().skip_tolerance


def mean_step(run: Run, field: str = "steps") -> float:
    """Mean over the epochs, each with the same weight; the first batch of the run is warm-up and left out."""
    epochs = [list(epoch) for epoch in run["result"][field]]
    if field == "steps":
        epochs[0] = epochs[0][1:] or (epochs[0] if len(epochs) == 1 else [])
    return float(mean(mean(epoch) for epoch in epochs if epoch))


def summarise(runs: list[Run]) -> dict[str, Any]:
    """The headline numbers, each with its spread; those whose runs are not there yet are left out.

    A ratio is that of medians over runs; its min and max are those over all pairs of runs.
    """
    runs = [run for run in runs if "result" in run]
    steps, memory = _grouped(runs, mean_step), _grouped(runs, lambda run: run["result"]["memory_mib"])
    summary: dict[str, Any] = {
        "seconds_per_step": {name: _spread(v) for name, v in steps.items()},
        "memory_mib": {name: _spread(v) for name, v in memory.items()},
    }
    for rival in ("gumbel", "darts"):
        by = {}
        for name, theirs in steps.items():
            if name.startswith("schedule/") and name.endswith(f"/{rival}"):
                ours = steps.get(name.replace(rival, "snas"))
                if ours:
                    by[name.removeprefix("schedule/").removesuffix(f"/{rival}")] = _ratio(theirs, ours)
        if by:
            key = f"{rival}darts" if rival == "gumbel" else rival
            summary[f"update_ratio_{key}"] = _headline(by)
            # One update of theirs reads two batches.
            halves = {n: {k: v / 2 for k, v in r.items()} for n, r in by.items()}
            summary[f"image_ratio_{key}"] = _headline(halves)
    ours_of = "schedule/{}/uniform/snas".format
    by_memory = {
        f"{space}/{rival}": _ratio(memory[ours_of(space)], memory[f"schedule/{space}/uniform/{rival}"])
        for space in ("hub", "snas")
        for rival in ("gumbel", "darts")
        if {ours_of(space), f"schedule/{space}/uniform/{rival}"} <= memory.keys()
    }
    if by_memory:
        summary["memory_ratio"] = _headline(by_memory)
    if {"memory/plain", "memory/checkpointed"} <= memory.keys():
        summary["checkpointed_memory_ratio"] = _ratio(memory["memory/checkpointed"], memory["memory/plain"])
        summary["checkpointed_step_ratio"] = _ratio(steps["memory/checkpointed"], steps["memory/plain"])
    one_path, gumbel = "single_path/{}/search", "schedule/{}/uniform/gumbel"
    for key, table, above, below in (
        ("last_epoch_over_child", steps, "last_epoch/{}/search", "last_epoch/{}/child"),
        ("single_path_update_ratio", steps, gumbel, one_path),
        ("single_path_memory_ratio", memory, one_path, gumbel),
    ):
        by_space = {
            space: _ratio(table[above.format(space)], table[below.format(space)])
            for space in ("hub", "snas")
            if {above.format(space), below.format(space)} <= table.keys()
        }
        if by_space:
            summary[key] = _headline(by_space)
    by_option = {
        name.removeprefix("options/"): _ratio(steps[theirs], ours)
        for name, ours in steps.items()
        if name.startswith("options/")
        and (theirs := "schedule/" + name.removeprefix("options/").rpartition("/")[0] + "/gumbel") in steps
    }
    if by_option:
        summary["option_update_ratio"] = _headline(by_option)
    theirs = memory.get("schedule/snas/uniform/gumbel")
    if theirs and "memory/checkpointed" in memory:
        summary["checkpointed_memory_ratio_gumbeldarts"] = _ratio(memory["memory/checkpointed"], theirs)
    if {"loading/batch", "last_epoch/snas/search"} <= steps.keys():
        summary["loader_share"] = _ratio(steps["loading/batch"], steps["last_epoch/snas/search"])
    overhead = [run for run in runs if run["part"] == "overhead"]
    whole = _grouped(overhead, lambda run: mean_step(run, "intervals"))
    if {"overhead/fit", "overhead/bare"} <= whole.keys():
        ratio = _ratio(whole["overhead/fit"], whole["overhead/bare"])
        summary["lightning_overhead"] = {key: value - 1 for key, value in ratio.items()}
    summary.update(_gradient_errors(runs))
    summary.update(_growth(runs))
    profiles = {run["name"]: run["result"]["rows"] for run in runs if run["part"] == "profile"}
    return {**summary, "profile": profiles} if profiles else summary


def _grouped(runs: Iterable[Run], number: Any) -> dict[str, list[float]]:
    groups = defaultdict(list)
    for run in runs:
        if "steps" in run["result"]:
            groups[f"{run['part']}/{run['name']}"].append(number(run))
    return dict(groups)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)}


def _ratio(above: list[float], below: list[float]) -> dict[str, float]:
    return {
        "median": median(above) / median(below),
        "min": min(above) / max(below),
        "max": max(above) / min(below),
    }


def _headline(by: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The first case's numbers, and those of every case under ``by``."""
    first = next(iter(by))
    return {**by[first], "of": first, "by": by}


def _gradient_errors(runs: list[Run]) -> dict[str, Any]:
    table = []
    groups: dict[tuple[str, float, float], list[dict[str, float]]] = defaultdict(list)
    for run in runs:
        if run["part"] == "gradient_error":
            for row in run["result"]["rows"]:
                groups[run["name"], row["temperature"], row["tolerance"]].append(row)
    for (name, temperature, tolerance), rows in groups.items():
        errors = [row["error"] for row in rows]
        share = sum(row["seconds"] for row in rows) / sum(row["exact_seconds"] for row in rows)
        table.append({"of": name, "temperature": temperature, "tolerance": tolerance, "time_share": share})
        table[-1] |= {"mean": mean(errors), **_spread(errors)}
    if not table:
        return {}
    # A single draw may be far off where a ReLU switches; what steers a search is the mean, at each temperature.
    means = [row["mean"] for row in table if row["tolerance"] == DEFAULT_TOLERANCE]
    return {"gradient_error_means": _spread(means), "gradient_error": table}


def _growth(runs: list[Run]) -> dict[str, Any]:
    points: dict[str, list[list[float]]] = defaultdict(list)
    for run in runs:
        if run["part"] == "growth":
            points[run["name"]].extend(run["result"]["points"])
    found: dict[str, Any] = {"growth": {}} if points else {}
    for axis, each in points.items():
        found["growth"][axis] = {**fit_line([point[:2] for point in each]), "points": each}
        if all(len(point) > 2 for point in each):  # older results have no memory
            found["growth"][axis]["memory"] = fit_line([[point[0], point[2]] for point in each])
    sizes = {run["name"]: run["result"] for run in runs if run["part"] == "size"}
    return {**found, "size": sizes} if sizes else found
