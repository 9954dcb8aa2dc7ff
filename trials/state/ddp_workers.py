"""Training on several devices: Lightning starts this command again for each further one, which follows the first.

A follower must not make an output folder, ask NNI for parameters or print. It reads the first one's settings.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snas_nni.errors import SettingError
from trials.progress import Progress
from trials.settings.run import BaseRunSettings
from trials.state.failures import other_process_ended
from trials.state.second_signal import quit_now

if TYPE_CHECKING:
    from trials.state.nni_trial import NniTrial  # brings NNI, which takes seconds
    from trials.state.output_folder import OutputFolder  # brings Lightning, which takes seconds

__all__ = ["MainProcess", "as_main_process", "main_process", "open_or_join"]

_VARIABLE = "SNAS_NNI_LEAD"


@dataclass(frozen=True)
class MainProcess:
    """What a follower is told.

    Attributes:
        output: the first process's output folder, which holds its settings.yml.
        resume: the folder that is resumed; None for a new run.
    """

    output: Path
    resume: str | None


def main_process() -> MainProcess | None:
    """Return whom this process follows; None for the first process, and for the only one.

    Raises:
        SettingError: another launcher than Lightning's started this process beside others, here or on other nodes.
    """
    if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:  # torchrun's number of nodes
        raise SettingError(
            "a search of the command line runs on one node: its folder, its signals and its checkpoints are one "
            "process's. Over several nodes, search in Python with Trainer(num_nodes=...); see docs/many_machines.md"
        )
    if os.environ.get("LOCAL_RANK", "0") == "0":
        return None
    text = os.environ.get(_VARIABLE)
    if text is None:
        raise SettingError("start one process only; with several devices it starts the others itself")
    document = json.loads(text)
    return MainProcess(Path(document["output"]), document["resume"])


@contextlib.contextmanager
def open_or_join(
    settings: BaseRunSettings, trial: NniTrial | None, lead: MainProcess | None, progress: Progress
) -> Iterator[OutputFolder]:
    """The folder of the results, which the first process opens for those that follow it.

    Args:
        settings: of the run.
        trial: the NNI trial that this is; None outside an experiment.
        lead: whom this process follows; None for the first.
        progress: told about unusable checkpoints.

    Raises:
        SettingError: see :func:`~trials.state.output_folder.open_output`.
    """
    from trials.state.checkpoint_files import newest_usable
    from trials.state.output_folder import OutputFolder, open_output

    if lead is not None:
        yield OutputFolder(lead.output, newest_usable(Path(lead.resume), progress.say) if lead.resume else None)
        return
    with open_output(settings, trial, progress) as opened:
        yield opened


@contextlib.contextmanager
def as_main_process(opened: OutputFolder) -> Iterator[None]:
    """Let processes that are started inside follow the one that writes into this folder.

    Where one of them ends early, Lightning kills this one too, which says why first.
    """
    from lightning_fabric.strategies.launchers import subprocess_script as launcher

    resumed = str(opened.checkpoint.parent.parent) if opened.checkpoint else None
    os.environ[_VARIABLE] = json.dumps({"output": str(opened.path), "resume": resumed})
    names: Any = vars(launcher)
    observer: Any = names["_ChildProcessObserver"]

    class Observer(observer):
        def _terminate_all(self) -> None:
            code = next((each.returncode for each in self._child_processes if each.returncode), None)
            os.write(2, f"error: {other_process_ended(opened.path, code)}\n".encode())
            quit_now(2)

    names["_ChildProcessObserver"] = Observer
    try:
        yield
    finally:
        names["_ChildProcessObserver"] = observer
        del os.environ[_VARIABLE]
