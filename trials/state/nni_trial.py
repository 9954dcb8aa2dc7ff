"""The NNI trial that this process is, kept apart from the search that runs inside it.

A one-shot search is an NNI experiment of its own: while it runs, NNI's reporting functions lead to it, and after
it NNI still believes that the trial's parameters are those of the search. What is reported then reaches the wrong
experiment or the wrong parameters. So the trial's channel and parameters are taken before the search starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nni
import nni.trial
from nni.runtime.env_vars import trial_env_vars
from nni.runtime.trial_command_channel import (
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)

from snas_nni.errors import SnasError

__all__ = ["NniTrial", "reported_metrics"]


class NniTrial:
    """Parameters from the tuner, and results back to it. Make it before the search, and once only.

    Raises:
        SnasError: the tuner sent no parameters.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = dict(nni.get_next_parameter() or {})
        self._channel = get_default_trial_command_channel()
        self._record = nni.trial._params
        self._reported = 0
        self._has_final = False
        if self._record is None:
            raise SnasError("the tuner sent no parameters: the experiment has as many trials as it may have")

    @classmethod
    def current(cls) -> NniTrial | None:
        """Return this process's trial, or None when ``nnictl`` did not start it."""
        return cls() if trial_env_vars.NNI_PLATFORM else None

    @property
    def output_folder(self) -> Path:
        """The search's folder in the trial's own; a resumed experiment runs a trial again with the same one."""
        return Path(os.environ.get("NNI_OUTPUT_DIR", ".")) / "search"

    def resume_at(self, epochs: int) -> None:
        """Say that the run goes on after ``epochs`` epochs: what the experiment has heard of is not told again.

        A trial may be cut off after it reported an epoch and before it wrote that epoch's checkpoint. The epoch then
        runs again, with the same result, and the experiment would have it twice.
        """
        known = reported_metrics(trial_env_vars.NNI_TRIAL_COMMAND_CHANNEL, trial_env_vars.NNI_TRIAL_JOB_ID)
        if known is None:
            self._reported, self._has_final = epochs, False
        else:
            self._reported = sum(metric["type"] == "PERIODICAL" for metric in known)
            self._has_final = any(metric["type"] == "FINAL" for metric in known)

    def report_intermediate(self, metrics: Mapping[str, Any]) -> None:
        """Send an epoch's metrics, unless the experiment has them.

        Args:
            metrics: ``default`` is the number that the tuner looks at; ``epoch`` is counted from 1.
        """
        if metrics["epoch"] <= self._reported:
            return
        with self._outer():
            nni.trial.overwrite_intermediate_seq(metrics["epoch"] - 1)
            nni.report_intermediate_result(dict(metrics))

    def report_final(self, metrics: Mapping[str, Any]) -> None:
        """Send the trial's result, unless the experiment has it; ``metrics["default"]`` is what the tuner looks at."""
        if self._has_final:
            return
        with self._outer():
            nni.report_final_result(dict(metrics))

    @contextlib.contextmanager
    def _outer(self) -> Iterator[None]:
        inner_channel, inner_record = get_default_trial_command_channel(), nni.trial._params
        set_default_trial_command_channel(self._channel)
        nni.trial._params = self._record
        try:
            yield
        finally:
            set_default_trial_command_channel(inner_channel)
            nni.trial._params = inner_record


def reported_metrics(channel: str | None, trial: str | None) -> list[dict[str, Any]] | None:
    """Ask the manager which results of a trial it has; None if it cannot be asked.

    Args:
        channel: URL of the trial's command channel, which the manager serves next to its REST interface.
        trial: its id.
    """
    base, separator, _ = (channel or "").partition("/env/")
    if not separator or trial is None or not base.startswith("http://"):
        return None
    try:
        with urllib.request.urlopen(f"{base}/api/v1/nni/metric-data/{trial}", timeout=10) as response:
            answer = json.load(response)
    except (OSError, ValueError):
        return None
    return [metric for metric in answer if metric.get("trialJobId") == trial]
