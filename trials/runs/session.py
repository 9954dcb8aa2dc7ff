"""What every run has around its work: its folder, signals, failures in words, its NNI trial, other devices."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytorch_lightning as lightning

from exports.run_folder import SearchResult, read_result
from trials.data.loaders import preparation_of
from trials.data.types import TaskData
from trials.progress import Progress, progress_here
from trials.runs.results import final_numbers
from trials.settings.run import BaseRunSettings, DataSettings
from trials.state.checkpoint_files import epochs_done
from trials.state.ddp_workers import as_main_process, main_process, open_or_join
from trials.state.failures import failures_explained
from trials.state.nni_trial import NniTrial
from trials.state.output_folder import OutputFolder, recorded_settings
from trials.state.signals import Stopping
from trials.training.trainer import quieten_libraries

__all__ = ["Session", "facts_of", "run_in_session"]

Settings = TypeVar("Settings", bound=BaseRunSettings)


@dataclass(frozen=True)
class Session(Generic[Settings]):
    """A run that has begun.

    Attributes:
        settings: of the run.
        output: its folder, and the checkpoint to go on from.
        progress: told how the run stands; quiet in the processes that train beside the first one.
        stopping: knows whether a signal came.
        trial: the NNI trial that the run is; None outside an experiment.
    """

    settings: Settings
    output: OutputFolder
    progress: Progress
    stopping: Stopping
    trial: NniTrial | None
    _start: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.output.path

    @property
    def checkpoint(self) -> Path | None:
        """The state to go on from; None to begin."""
        return self.output.checkpoint

    def training(self) -> AbstractContextManager[None]:
        """Let processes that Lightning starts for further devices inside the block follow this one."""
        return as_main_process(self.output)

    def seconds(self, before: float) -> float:
        """Return how long the run has taken, with the seconds before it was cut."""
        return before + time.monotonic() - self._start

    def summary(self, data: TaskData) -> dict[str, Any]:
        """Return what summary.json says of the run whatever it found.

        Args:
            data: the splits.
        """
        return {
            "settings": recorded_settings(self.settings),
            "tuned": self.trial.parameters if self.trial is not None else {},
            **facts_of(data, self.settings.data),
        }


def facts_of(data: TaskData, settings: DataSettings) -> dict[str, Any]:
    """Return what summary.json says of the data, as far as the network's users need to know it.

    Args:
        data: the splits.
        settings: of the data.
    """
    preparation = preparation_of(data, settings.image_size is not None)
    return {
        "metric": data.task.metric.as_document(),
        # Names that a network's user may show for what it answers: the outputs of other tasks are no classes.
        "class_names": list(data.class_names) if data.task.is_classification else [],
        "normalisation": asdict(data.normalisation) if data.normalisation else None,
        "preparation": preparation.as_document() if preparation else None,
    }


def run_in_session(
    settings: Settings, trial: NniTrial | None, work: Callable[[Session[Settings]], SearchResult | None]
) -> SearchResult | None:
    """Do a run's work in its folder, with everything seeded, and report its result to the NNI trial.

    Args:
        settings: of the run.
        trial: the NNI trial that this is; None outside an experiment.
        work: gets the session and returns the result, or None in a process that trains beside the first one.

    Returns:
        The result; that which is there already if a trial was cut off in its last moment.

    Raises:
        SnasError: what the work raises, the output folder cannot be used, or the machine failed; in one line.
        StoppedError: a signal asked for it.
    """
    quieten_libraries()
    lead = main_process()
    progress = progress_here(settings.quiet or lead is not None)
    with Stopping() as stopping, open_or_join(settings, trial, lead, progress) as output:
        if trial is not None:
            trial.resume_at(epochs_done(output.checkpoint))
        if output.finished:
            result: SearchResult | None = read_result(output.path)
        else:
            # A process that follows leaves the words to the first one.
            with failures_explained(output.path) if lead is None else contextlib.nullcontext():
                progress.say(f"results go to {output.path}")
                lightning.seed_everything(settings.seed, workers=True, verbose=False)
                result = work(Session(settings, output, progress, stopping, trial))
        if trial is not None and result is not None:
            trial.report_final(final_numbers(result))
        return result
