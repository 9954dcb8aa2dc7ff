"""The loop over methods and seeds that both comparisons have: skip what is finished, keep each row at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trials.bench.rows import Row, Rows
from trials.bench.settings import BenchSettings
from trials.progress import Progress, readable_duration
from trials.state.output_folder import result_settings
from trials.training.trainer import quieten_libraries

__all__ = ["result_settings_of", "run_rows"]

_FREE = ("methods", "seeds", "output", "quiet", "table")


def result_settings_of(settings: BenchSettings) -> dict[str, Any]:
    """Return the settings that decide a row, as plain values: neither where files are nor which rows are asked for."""
    return result_settings(json.loads(json.dumps(asdict(settings))), _FREE)


def run_rows(
    settings: BenchSettings, command: str, progress: Progress, measure: Callable[[str, int], Row]
) -> tuple[Rows, list[Row]]:
    """Run every method with every seed that the output file does not have yet.

    Methods of a seed follow one another, so that a cut run has whole comparisons.

    Args:
        settings: of the comparison.
        command: that the file names.
        progress: told each row, with the time left.
        measure: runs one method with one seed; returns a row without those two.

    Returns:
        The file's rows, and those of them that the settings ask for.

    Raises:
        SettingError: the output file is of other settings, or no result file.
    """
    quieten_libraries()
    path = Path(settings.output or settings.default_output).expanduser()
    rows = Rows(path, result_settings_of(settings), command, defaults=result_settings_of(type(settings)()))
    wanted = [(method, seed) for seed in settings.seed_numbers() for method in settings.method_names()]
    due = [each for each in wanted if rows.find(*each) is None]
    if len(due) < len(wanted):
        progress.say(f"{path} has {len(wanted) - len(due)} of {len(wanted)} rows")
    took: dict[str, list[float]] = {}
    for number, (method, seed) in enumerate(due):
        progress.say(f"{method}, seed {seed}: row {number + 1} of {len(due)}")
        start = time.monotonic()
        rows.keep({"method": method, "seed": seed, **measure(method, seed)})
        took.setdefault(method, []).append(time.monotonic() - start)
        left = _seconds_left([each for each, _ in due[number + 1 :]], took)
        progress.say(f"{method}, seed {seed}: done in {readable_duration(took[method][-1])}; {left}")
    rows.write()
    return rows, [row for each in wanted if (row := rows.find(*each)) is not None]


def _seconds_left(methods: list[str], took: dict[str, list[float]]) -> str:
    """Say how long the methods will take; one that has not run yet counts as the mean of those that have."""
    means = {method: sum(times) / len(times) for method, times in took.items()}
    overall = sum(means.values()) / len(means)
    return f"{readable_duration(sum(means.get(method, overall) for method in methods))} left"
