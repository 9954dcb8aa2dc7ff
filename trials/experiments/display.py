"""How a running experiment looks: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from exports.report.fronts.pareto import pareto_front
from snas_nni.resources import COSTS
from trials.experiments.experiment_file import ExperimentFile
from trials.experiments.trial_records import TrialRecord
from trials.progress import readable_duration

__all__ = ["LaunchDisplay", "front_of", "seconds_left", "status_line", "trial_table"]

_LINE_EVERY_SECONDS = 10.0


class LaunchDisplay:
    """Shows the trials while they run. Use it as a context manager.

    Args:
        file: the experiment.
        console: where to.
        quiet: show nothing.
    """

    def __init__(self, file: ExperimentFile, console: Console, quiet: bool = False) -> None:
        self._file = file
        self._console = console
        self._quiet = quiet
        self._live = Live(console=console, transient=True) if console.is_terminal and not quiet else None
        self._start = time.monotonic()
        self._last_line = ""
        self._last_time = 0.0
        self._ended: set[str] = set()

    def __enter__(self) -> LaunchDisplay:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, trials: Sequence[TrialRecord]) -> None:
        """Show how the trials stand."""
        if self._quiet:
            return
        elapsed = time.monotonic() - self._start
        line = status_line(self._file, trials, elapsed, time.time())
        if self._live:
            self._live.update(Group(trial_table(trials), Text(line)))
            return
        for trial in trials:
            if trial.ended and trial.id not in self._ended:
                self._ended.add(trial.id)
                self._print(f"trial {trial.number}: {trial.status.lower()} {_text(trial, trial.reached)}".rstrip())
        now = time.monotonic()
        if line != self._last_line and now - self._last_time >= _LINE_EVERY_SECONDS:
            self._last_line, self._last_time = line, now
            self._print(line)

    def _print(self, line: str) -> None:
        print(line, file=self._console.file, flush=True)


def status_line(file: ExperimentFile, trials: Sequence[TrialRecord], elapsed: float, now: float) -> str:
    """Write the experiment's state as one line.

    Args:
        file: the experiment.
        trials: its trials.
        elapsed: seconds since it started.
        now: seconds since the epoch.
    """
    succeeded = sum(trial.succeeded for trial in trials)
    running = [trial for trial in trials if trial.running]
    failed = sum(trial.ended and not trial.succeeded for trial in trials)
    total = f"/{file.max_trials}" if file.max_trials else ""
    parts = [f"{succeeded}{total} done, {len(running)} running, {failed} failed"]
    for trial in running:
        epoch = f" epoch {trial.latest['epoch']:g}" if "epoch" in trial.latest else ""
        if trial.reached is not None:
            parts.append(f"trial {trial.number}:{epoch} {_text(trial, trial.reached)}")
    parts.append(f"{readable_duration(elapsed)} elapsed")
    left = seconds_left(file, trials, now)
    if left is not None:
        parts.append(f"about {readable_duration(left)} left")
    return ", ".join(parts)


def seconds_left(file: ExperimentFile, trials: Sequence[TrialRecord], now: float) -> float | None:
    """Estimate the remaining time from finished trials, or from the epochs of running ones.

    Returns:
        Seconds, or None when there is nothing to go by.
    """
    if file.max_trials is None:
        return None
    lengths = [
        trial.finish - trial.start
        for trial in trials
        if trial.succeeded and trial.start is not None and trial.finish is not None
    ]
    ages = [now - trial.start for trial in trials if trial.running and trial.start is not None]
    if not lengths:
        lengths = [
            (now - trial.start) * trial.latest["epochs"] / trial.latest["epoch"]
            for trial in trials
            if trial.running and trial.start is not None and {"epoch", "epochs"} <= set(trial.latest)
        ]
    if not lengths:
        return None
    length = sum(lengths) / len(lengths)
    to_come = max(0, file.max_trials - sum(trial.ended for trial in trials) - len(ages))
    work = to_come * length + sum(max(0.0, length - age) for age in ages)
    return work / min(file.concurrency, max(1, to_come + len(ages)))


def trial_table(trials: Sequence[TrialRecord]) -> Table:
    """Make the table of trials, best child first, with a mark at those that no other trial beats.

    A trial beats another if its child costs no more and is at least as accurate, and one of the two is strict. The cost
    is what the trials have bounds on, else parameters.
    """
    cost, front = front_of(trials)
    table = Table(
        "trial", "status", "child", "test", COSTS[cost].title, "front", "entropy", "time",
        Column("settings", overflow="fold"),
        caption=f"* no other trial reaches as much with as little ({COSTS[cost].title})" if front else None,
        caption_justify="left",
    )  # fmt: skip
    for trial in sorted(trials, key=lambda trial: (-trial.rank, trial.number)):
        length = (trial.finish or time.time()) - trial.start if trial.start is not None else None
        spent = _cost(trial, cost)
        table.add_row(
            str(trial.number),
            trial.status.lower(),
            _text(trial, trial.reached),
            _text(trial, trial.final.get(trial.metric.test)),
            f"{spent:,.6g}" if spent is not None else "",
            "*" if trial.number in front else "",
            _share(trial.final.get("entropy_share", trial.latest.get("entropy_share"))),
            readable_duration(length) if length is not None else "",
            ", ".join(f"{name.split('.')[-1]} {_short(value)}" for name, value in trial.parameters.items()),
        )
    return table


def front_of(trials: Sequence[TrialRecord]) -> tuple[str, set[int]]:
    """Return a cost's key, and the numbers of the trials that no other one beats in that cost and what it reached."""
    bounded = {name.rpartition("max_")[2] for trial in trials for name in trial.parameters if "max_" in name}
    cost = next((key for key in COSTS if key in bounded), "params")
    known = [
        (trial.number, spent, trial.rank)
        for trial in trials
        if trial.succeeded and (spent := _cost(trial, cost)) is not None and trial.reached is not None
    ]
    return cost, {known[index][0] for index in pareto_front([(spent, rank) for _, spent, rank in known])}


def _cost(trial: TrialRecord, cost: str) -> float | None:
    spent = trial.final.get(cost, trial.final.get("parameters") if cost == "params" else None)
    return spent if isinstance(spent, int | float) else None


def _text(trial: TrialRecord, value: float | None) -> str:
    return "" if value is None else trial.metric.text(value)


def _share(value: float | None) -> str:
    """The entropy that is left, as a share of the largest possible one."""
    return "" if value is None else f"{value:.0%}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
