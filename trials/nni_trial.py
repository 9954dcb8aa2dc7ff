"""The NNI trial that this process is, kept apart from the search that runs inside it.

A one-shot search is an NNI experiment of its own: while it runs, NNI's reporting functions lead to it, and after
it NNI still believes that the trial's parameters are those of the search. What is reported then reaches the wrong
experiment or the wrong parameters. So the trial's channel and parameters are taken before the search starts.
"""

from __future__ import annotations

import contextlib
import os
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

__all__ = ["NniTrial"]


class NniTrial:
    """Parameters from the tuner, and results back to it. Make it before the search, and once only.

    Raises:
        SnasError: the tuner sent no parameters.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = dict(nni.get_next_parameter() or {})
        self._channel = get_default_trial_command_channel()
        self._record = nni.trial._params
        if self._record is None:
            raise SnasError("the tuner sent no parameters: the experiment has as many trials as it may have")

    @classmethod
    def current(cls) -> NniTrial | None:
        """Return this process's trial, or None when ``nnictl`` did not start it."""
        return cls() if trial_env_vars.NNI_PLATFORM else None

    def report_intermediate(self, metrics: Mapping[str, Any]) -> None:
        """Send an epoch's metrics; ``metrics["default"]`` is the number that the tuner looks at."""
        with self._outer():
            nni.report_intermediate_result(dict(metrics))

    def report_final(self, metrics: Mapping[str, Any]) -> None:
        """Send the trial's result; ``metrics["default"]`` is the number that the tuner maximises."""
        with self._outer():
            nni.report_final_result(dict(metrics))

    def free_output_folder(self) -> Path:
        """Return a folder in the trial's own that does not exist yet.

        A resumed experiment runs an interrupted trial again in the same trial folder.
        """
        base = Path(os.environ.get("NNI_OUTPUT_DIR", "."))
        candidates = (base / ("search" if attempt == 1 else f"search-{attempt}") for attempt in range(1, 1000))
        return next(path for path in candidates if not path.exists())

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
