"""What a verb that trains runs with: settings, and the NNI trial that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snas_nni.errors import SettingError
from trials.settings.run import BaseRunSettings
from trials.state.ddp_workers import main_process

if TYPE_CHECKING:
    from trials.state.nni_trial import NniTrial  # brings NNI, which takes seconds

__all__ = ["settings_and_trial", "settings_file_of"]

Settings = TypeVar("Settings", bound=BaseRunSettings)


def settings_and_trial(
    read: Callable[[Sequence[str], Mapping[str, Any] | None], Settings], arguments: Sequence[str]
) -> tuple[Settings, NniTrial | None]:
    """Return the settings of this process's run; a process that follows another takes those of the first one.

    Args:
        read: gets the command line's words and a tuner's parameters, returns settings.
        arguments: of the command line.

    Raises:
        SettingError: from ``read``; or another launcher than Lightning's started this process beside others.
    """
    lead = main_process()
    if lead is not None:
        settings = read([f"--config={lead.output / 'settings.yml'}"], None)
        return replace(settings, resume=lead.resume, quiet=True), None
    settings = read(arguments, None)  # a mistake shows at once, before the slow imports
    from trials.state.nni_trial import NniTrial

    trial = NniTrial.current()
    return (settings if trial is None else read(arguments, trial.parameters)), trial


def settings_file_of(resume: str, what: str) -> Path:
    """Return where the settings of a run that is resumed are.

    Args:
        resume: output folder of the run.
        what: the run, for messages, such as "a search".

    Raises:
        SettingError: there is no such file.
    """
    path = Path(resume).expanduser() / "settings.yml"
    if not path.is_file():
        raise SettingError(f"resume: there is no {str(path)!r}; give the output folder of {what}")
    return path
