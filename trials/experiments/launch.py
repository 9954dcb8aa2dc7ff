"""An NNI experiment from its file to its best child, with nothing left running."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console

from snas_nni.errors import SettingError, SnasError
from trials.experiments.display import LaunchDisplay, trial_table
from trials.experiments.experiment_file import ExperimentFile, read_experiment_file
from trials.experiments.folders import refuse_unwritable
from trials.experiments.manager import Manager, ManagerGoneError, last_lines, running_manager
from trials.experiments.other_machines import RUNNER_OUTPUT, FetchError, fetch, trial_lines
from trials.experiments.trial_records import TrialRecord, trial_records
from trials.progress import readable_duration
from trials.state.failures import write_result
from trials.state.signals import StoppedError, Stopping

__all__ = ["LaunchOptions", "launch"]

_POLL_SECONDS = 1.0
_COPIED = (
    "architecture.json",
    "weights.safetensors",
    "model.onnx",
    "summary.json",
    "metrics.csv",
    "settings.yml",
    "evidence.json",
    "network.json",
)
SUCCESS, NO_TRIAL_SUCCEEDED = 0, 1


@dataclass(frozen=True)
class LaunchOptions:
    """How an experiment is launched.

    Attributes:
        output: folder that gets a folder for the experiment.
        port: of NNI's web page; None for a free one.
        listen_everywhere: let other machines reach the web page, which has no password.
        quiet: print nothing but errors.
        resume: id of an experiment that was stopped, to go on with; its trials go on from their checkpoints.
    """

    output: Path = Path("runs")
    port: int | None = None
    listen_everywhere: bool = False
    quiet: bool = False
    resume: str | None = None


def launch(path: str | Path, options: LaunchOptions) -> int:
    """Run the experiment in ``path`` and return the exit code.

    Returns:
        0 when a trial succeeded, 1 when none did, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. The experiment
        is stopped in every case, also when this process is killed.

    Raises:
        SnasError: the file is wrong, or NNI does not start.
    """
    file = read_experiment_file(path)
    console = Console(quiet=options.quiet, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 120  # rich would squeeze the table into 80 columns
    if not file.within and not options.listen_everywhere:
        raise SettingError(
            f"{path}: its trials run on other machines, which must reach NNI's manager on this one. The manager has no "
            "password, and whoever reaches it can start programs here. If the network is yours, allow it with "
            "--listen-everywhere; see docs/security.md"
        )
    if not file.ends:
        console.print("warning: neither maxTrialNumber nor maxExperimentDuration is set; stop it with Ctrl-C")
    if options.listen_everywhere:
        console.print("warning: everyone who reaches this machine's port can start programs on it")
    refuse_unwritable(options.output, file.folder)
    experiment = _Experiment(file, console, options)
    with Stopping(second_quits=False):
        try:
            with running_manager(file, options.port, options.listen_everywhere, options.resume) as manager:
                try:
                    experiment.watch(manager)
                finally:
                    console.print("stopping the experiment")
                    with contextlib.suppress(ManagerGoneError):
                        experiment.look(manager, patience=2.0)  # a trial may have ended since
        except StoppedError as stopped:
            with contextlib.suppress(OSError):  # the terminal may be what has gone
                try:
                    experiment.finish()
                except SnasError as error:
                    print(f"error: {error}", file=sys.stderr)
                word = "interrupted" if stopped.number == signal.SIGINT else "terminated"
                print(f"{word}{experiment.how_to_go_on()}", file=sys.stderr)
            return stopped.exit_code
    if experiment.finish():
        return SUCCESS
    experiment.print_cause()
    return NO_TRIAL_SUCCEEDED


class _Experiment:
    """An experiment while it runs and after it."""

    def __init__(self, file: ExperimentFile, console: Console, options: LaunchOptions) -> None:
        self._file = file
        self._console = console
        self._options = options
        self._start = time.monotonic()
        self._id: str | None = None
        self._status = "NOT STARTED"
        self._trials: list[TrialRecord] = []

    def watch(self, manager: Manager) -> None:
        """Follow the experiment until NNI says that it is over."""
        self._id = manager.id
        self._console.print(
            f"experiment {manager.id} ({self._file.name}), web page http://127.0.0.1:{manager.port}",
            soft_wrap=True,
        )
        with LaunchDisplay(self._file, self._console, self._options.quiet) as display:
            while self._status not in ("DONE", "ERROR", "STOPPED"):
                try:
                    answer = manager.get("check-status")
                    self.look(manager)
                except ManagerGoneError as error:
                    self._status = "GONE"
                    print(f"error: {error}. Was the experiment stopped from outside?", file=sys.stderr)
                    return
                self._status = answer["status"]
                self._refuse_other_direction()
                display.show(self._trials)
                time.sleep(_POLL_SECONDS)
        if self._status == "ERROR":
            print(f"error: NNI reports: {'; '.join(filter(None, answer['errors']))}", file=sys.stderr)

    def _refuse_other_direction(self) -> None:
        """Stop before a tuner looks for the worst.

        Raises:
            SettingError: the trials report a metric whose direction is not the tuner's.
        """
        mode = self._file.optimize_mode
        for trial in self._trials:
            if trial.reached is not None and mode is not None and trial.metric.optimize_mode != mode:
                raise SettingError(
                    f"{self._file.path}: the trials report {trial.metric.in_words}, but the tuner's optimize_mode is "
                    f"{mode}; set it to {trial.metric.optimize_mode} under tuner.classArgs"
                )

    def look(self, manager: Manager, patience: float = 15.0) -> None:
        """Ask how the trials stand.

        Args:
            manager: of the experiment.
            patience: for how many seconds failures are retried.

        Raises:
            ManagerGoneError: no answer in that time.
        """
        self._trials = trial_records(manager.get("trial-jobs", patience), manager.get("metric-data", patience))

    def finish(self) -> bool:
        """Write and print what came out; return whether a trial succeeded. Works after an interrupted run too.

        Raises:
            SnasError: what came out cannot be written.
        """
        if self._id is None:
            return False
        best = max(
            (trial for trial in self._trials if trial.succeeded),
            key=lambda trial: trial.rank,
            default=None,
        )
        folder = self._options.output / self._id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copied = self._copy_best(best, folder / "best") if best is not None else None
        except OSError as error:
            left = f"; the best child is in {best.output}" if best is not None and best.output is not None else ""
            raise SnasError(f"--output: cannot write {error.filename}: {error.strerror}{left}") from error
        document = self._document(best, copied)
        write_result(folder / "experiment.json", (json.dumps(document, indent=2) + "\n").encode())
        if self._trials:
            self._console.print(trial_table(self._trials))
        if best is None:
            return False
        self._console.print(
            f"best child: trial {best.number}, {best.metric.text(best.final['default'])} validation "
            f"{best.metric.title}, after {readable_duration(time.monotonic() - self._start)}",
            soft_wrap=True,
        )
        for warning in best.warnings:
            self._console.print(f"warning: {warning}", soft_wrap=True)
        for path in (copied / "architecture.json", copied / "model.onnx") if copied else ():
            if path.is_file():
                self._console.print(f"  {path}", soft_wrap=True)
        self._console.print(f"one page about all trials: snas-nni report {shlex.quote(str(folder))}", soft_wrap=True)
        return True

    def how_to_go_on(self) -> str:
        """Say how an experiment that was stopped goes on; nothing for one that did not start."""
        if self._id is None:
            return ""
        return f"; go on with: snas-nni launch {self._file.path} --resume {self._id}"

    @property
    def _folder(self) -> Path:
        return self._file.folder / str(self._id)

    def _copy_best(self, best: TrialRecord, target: Path) -> Path | None:
        source = best.output
        if source is None:
            return self._fetch_best(best, target)
        target.mkdir(exist_ok=True)
        for name in _COPIED:
            if (source / name).is_file():
                shutil.copy2(source / name, target / name)
        return target

    def _fetch_best(self, best: TrialRecord, target: Path) -> Path | None:
        """Get the best child from the machine that searched it."""
        folder = best.reported_output
        if folder is None or best.host is None:
            return None
        self._console.print(f"fetching the best child from {best.host}")
        try:
            self._fetch(best, folder, _COPIED, target)
        except FetchError as error:
            self._console.print(f"warning: {error}", soft_wrap=True)
            return None
        return target

    def _fetch(self, trial: TrialRecord, folder: PurePosixPath, names: Sequence[str], target: Path) -> None:
        machines = [machine for machine in self._file.machines if machine.host == trial.host]
        fetch(machines, folder, names, target, self._options.output / str(self._id) / "known_hosts")

    def _document(self, best: TrialRecord | None, copied: Path | None) -> dict[str, Any]:
        return {
            "id": self._id,
            "name": self._file.name,
            "file": str(self._file.path),
            "status": self._status,
            "seconds": round(time.monotonic() - self._start, 1),
            "best": None if best is None else best.id,
            "best_folder": None if copied is None else str(copied.resolve()),
            "trials": [
                {**asdict(trial), "folder": trial.place or str(trial.folder(self._folder))} for trial in self._trials
            ],
        }

    def print_cause(self) -> None:
        """Say why no trial succeeded: the end of the error output of one that failed."""
        failed = [trial for trial in self._trials if trial.ended]
        if not failed:
            print("error: no trial ended", file=sys.stderr)
            self._print_end_of(self._folder / "log", ("dispatcher.log", "nnictl_stderr.log", "nnimanager.log"))
            return
        first = failed[0]
        print(f"error: no trial succeeded; trial {first.number} {first.status.lower()}", file=sys.stderr)
        if first.place is not None:
            self._print_end_elsewhere(first)
        else:
            self._print_end_of(first.folder(self._folder), ("trial.stderr", "trial.log"))

    def _print_end_elsewhere(self, trial: TrialRecord) -> None:
        """Print the last lines of a trial that ran on another machine."""
        folder = self._options.output / str(self._id) / "failed"
        try:
            self._fetch(trial, PurePosixPath(str(trial.place)), (RUNNER_OUTPUT,), folder)
        except FetchError as error:
            print(f"there is no error output: {error}", file=sys.stderr)
            return
        text = (folder / RUNNER_OUTPUT).read_text(encoding="utf-8", errors="replace")
        print(f"{last_lines(trial_lines(text, trial.id))}\n(from {folder / RUNNER_OUTPUT})", file=sys.stderr)

    @staticmethod
    def _print_end_of(folder: Path, names: Sequence[str]) -> None:
        """Print the last lines of the first of these files that says anything."""
        for name in names:
            with contextlib.suppress(OSError):
                text = last_lines((folder / name).read_text(encoding="utf-8", errors="replace"))
                if text:
                    print(f"{text}\n(from {folder / name})", file=sys.stderr)
                    return
        print(f"there is no error output in {folder}", file=sys.stderr)
