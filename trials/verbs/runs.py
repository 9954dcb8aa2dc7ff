"""``snas-nni runs``: what lies in a folder of runs, one line each; or two runs side by side."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exports.report.run import Run

__all__ = ["RunLine", "list_runs", "run"]

_COLUMNS = {
    "name": "run",
    "state": "state",
    "metric": "metric",
    "validation": "valid.",
    "parameters": "params",
    "macs": "MACs",
    "budget": "budget",
    "entropy": "entropy",
    "written": "written",
}


@dataclass(frozen=True)
class RunLine:
    """One run.

    Attributes:
        name: of its folder, below the folder that was listed.
        state: ``finished``; ``cut``, where it can be gone on with; ``empty``, where nothing was trained yet.
        validation: of the child, in the metric that decides; None where it was not measured.
        test: the same on the test split; in the JSON only, as runs are not to be chosen by it.
        parameters: of the child.
        macs: of the child for one input.
        budget: ``within`` or ``OVER``; None without a budget.
        entropy: share of the largest possible entropy at the end, in [0, 1].
        written: when its newest file was written, seconds since 1970.
        metric: name of the metric that decides.
        percent: whether it is a share of 1.
        higher_is_better: its direction.
    """

    name: str
    state: str
    validation: float | None
    test: float | None
    parameters: float | None
    macs: float | None
    budget: str | None
    entropy: float | None
    written: float
    metric: str = "accuracy"
    percent: bool = True
    higher_is_better: bool = True


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SettingError: there is no such folder.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni runs",
        description="List the runs below a folder, newest last: accuracies, costs, whether the child is within its "
        "budget, and how much of the entropy is left. With two folders of runs, compare these: results, and the "
        "settings and choices that differ.",
    )
    parser.add_argument(
        "folder", type=Path, nargs="*", help="folder that holds the runs (default: runs), or the folders of two runs"
    )
    parser.add_argument("--sort", choices=list(_COLUMNS), default="written", help="order of the lines (written)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    options = parser.parse_args(arguments)
    if len(options.folder) > 1:
        return _compare(options.folder, options.json)
    folder = options.folder[0] if options.folder else Path("runs")
    lines = list_runs(folder)
    lines.sort(key=lambda line: _order(line, options.sort))
    if options.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    elif lines:
        _print_table(lines)
    else:
        print(f"no runs in {folder}; make one with snas-nni search --output {folder}/NAME")
    return 0


def _order(line: RunLine, column: str) -> tuple[bool, Any]:
    """Sort key: lines without a value first, the best of a metric last."""
    value = getattr(line, column)
    if column == "validation" and value is not None and not line.higher_is_better:
        value = -value
    return value is not None, value or 0


def list_runs(folder: Path) -> list[RunLine]:
    """Return the runs at or below ``folder``, in the order of their names.

    Raises:
        SettingError: it is not a folder.
    """
    from exports.report.run import read_run
    from exports.run_folder import RUN_FILES
    from snas_nni.errors import SettingError

    if not folder.is_dir():
        raise SettingError(f"{str(folder)!r} is not a folder; give the one that holds the runs")
    found = []
    for path in sorted({each.parent for name in RUN_FILES for each in folder.rglob(name)}):
        # The last weights of a retraining lie one folder below their run, without a settings file of their own.
        if (path / "settings.yml").is_file() or (path / "summary.json").is_file():
            found.append(_line(read_run(path), str(path.relative_to(folder)) if path != folder else path.name))
    return found


def _compare(folders: Sequence[Path], as_json: bool) -> int:
    from exports.report.run import read_run
    from exports.run_folder import RUN_FILES
    from snas_nni.errors import SettingError
    from trials.runs.comparison import compare

    if len(folders) > 2:
        raise SettingError(f"give one folder to list its runs, or two runs to compare, not {len(folders)}")
    for folder in folders:
        if not any((folder / name).is_file() for name in RUN_FILES):
            raise SettingError(f"{str(folder)!r} is not the folder of a run")
    found = compare(*map(read_run, folders))
    if as_json:
        print(json.dumps({"runs": list(map(str, folders)), **asdict(found)}, indent=2))
        return 0
    names = [folder.resolve().name for folder in folders]
    if names[0] == names[1]:
        names = [str(folder) for folder in folders]
    _print_rows(["result", *names, "difference"], found.results)
    for title, rows in (("setting", found.settings), ("choice", found.choices)):
        print()
        if rows:
            _print_rows([title, *names], [row[:3] for row in rows])
        else:
            print(f"no {title} differs")
    return 0


def _print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = len(header) == 4
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="right" if index and numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(soft_wrap=False).print(table)


def _line(run: Run, name: str) -> RunLine:
    metrics, costs = run.metrics, {**run.metrics, "params": run.parameters}
    over = [cost for cost, bound in run.bounds.items() if (costs.get(cost) or 0) > bound]
    state = "finished" if run.summary else "cut" if (run.folder / "checkpoints").is_dir() else "empty"
    return RunLine(
        name=name,
        state=state,
        validation=metrics.get(run.metric.validation),
        test=metrics.get(run.metric.test),
        parameters=run.parameters,
        macs=metrics.get("macs"),
        budget=None if not run.bounds or not run.summary else "OVER" if over else "within",
        entropy=run.log.last("search/entropy_share"),
        written=max((each.stat().st_mtime for each in run.folder.iterdir() if each.is_file()), default=0.0),
        metric=run.metric.name,
        percent=run.metric.percent,
        higher_is_better=run.metric.higher_is_better,
    )


def _print_table(lines: Sequence[RunLine]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from exports.report.numbers import compact, percent

    def shown(line: RunLine, column: str) -> Text:
        value = getattr(line, column)
        if value is None:
            return Text("")
        if column == "entropy" or (column == "validation" and line.percent):
            return Text(percent(value))
        if column == "validation":
            return Text(f"{value:.4g}")
        if column in ("parameters", "macs"):
            return Text(compact(value))
        if column == "written":
            return Text(f"{datetime.fromtimestamp(value):%d %b %H:%M}")
        return Text(str(value))  # a folder's name may hold what Rich would read as markup

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [column for column in _COLUMNS if any(getattr(line, column) is not None for line in lines)]
    columns.remove("metric" if all(line.metric == "accuracy" for line in lines) else "written")  # 80 columns
    for column in columns:
        left = column in ("name", "state", "metric", "budget")
        # Only the name gives way in a narrow terminal, and never all of it.
        folds = {"name": 12, "metric": 8}
        free = {"overflow": "fold", "min_width": folds[column]} if column in folds else {"no_wrap": True}
        table.add_column(_COLUMNS[column], justify="left" if left else "right", **free)
    for line in lines:
        table.add_row(*(shown(line, column) for column in columns))
    Console(soft_wrap=False).print(table)
