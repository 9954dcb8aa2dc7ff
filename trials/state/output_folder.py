"""The folder of a run's results: a new one, or the one of a run that was cut off."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from snas_nni.errors import SettingError, SnasError
from snas_nni.files import half_written, write_atomically
from snas_nni.plain_yaml import read_yaml
from trials.progress import Progress
from trials.settings.guard import merged
from trials.settings.run import BaseRunSettings
from trials.state.checkpoint_files import newest_usable
from trials.state.failures import failures_explained

try:
    import fcntl
except ImportError:  # Windows: its users are protected by "the folder is not empty" alone
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from trials.state.nni_trial import NniTrial  # brings NNI, which takes seconds

__all__ = [
    "LOCK_NAME",
    "OutputFolder",
    "locked",
    "open_output",
    "recorded_settings",
    "result_settings",
    "write_settings",
]

LOCK_NAME, SETTINGS_NAME, SUMMARY_NAME = ".lock", "settings.yml", "summary.json"
TENSORBOARD_NAME = "tensorboard"
_NOT_KEPT = ("output", "resume", "quiet")
# They change where things are or what is shown, not what comes out.
_FREE = (*_NOT_KEPT, "checkpoint", "accelerator", "devices")
_FREE_OF_DATA = ("path", "cache", "download", "workers")


@dataclass(frozen=True)
class OutputFolder:
    """Where a run writes.

    Attributes:
        path: the folder, which exists.
        checkpoint: the state to go on from; None to begin.
        finished: everything is there already; only an NNI trial that was cut off in its last moment meets this.
    """

    path: Path
    checkpoint: Path | None = None
    finished: bool = False


@contextlib.contextmanager
def open_output(settings: BaseRunSettings, trial: NniTrial | None, progress: Progress) -> Iterator[OutputFolder]:
    """Find or make the folder, and keep other runs out of it inside the ``with`` block.

    A run that is resumed goes on in its own folder, unless another is given. A trial that NNI runs again goes on in
    its folder too.

    Raises:
        SettingError: the folder has something in it, is in use, or cannot be made; or there is nothing to resume.
    """
    source = _resumed_folder(settings, trial)
    folder = source if source is not None and settings.output is None else _new_folder(settings, trial)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"output: cannot make the folder {str(folder)!r}: {error.strerror}") from error
    folder = folder.resolve()
    with locked(folder):
        for left in half_written(folder):  # by a run that was killed meanwhile
            left.unlink(missing_ok=True)
        if folder != source and any(entry.name != LOCK_NAME for entry in folder.iterdir()):
            raise SettingError(
                f"output: the folder {str(folder)!r} is not empty; give another one"
                + (f", or go on with --resume {folder}" if _is_cut_off(folder) else "")
            )
        checkpoint = None
        if source is not None:
            finished = (source / SUMMARY_NAME).exists()
            if finished and trial is None:  # first: what Python searched may have another name since
                raise SettingError(f"resume: the run in {str(source)!r} is finished; there is nothing to go on with")
            _refuse_other_settings(source, settings)
            if finished:
                yield OutputFolder(folder, finished=True)
                return
            checkpoint = newest_usable(source, lambda line: progress.say(f"warning: {line}"))
            progress.say(
                f"going on from {checkpoint.name}" if checkpoint else "no checkpoint was written yet: begins anew"
            )
        with failures_explained(folder):
            write_settings(folder, settings)
        try:
            yield OutputFolder(folder, checkpoint)
        except SnasError:
            if source is None:
                _take_back(folder, made)
            raise


def write_settings(folder: Path, settings: BaseRunSettings) -> None:
    """Write settings.yml into a run's folder; raises ``OSError``."""
    write_atomically(folder / SETTINGS_NAME, yaml.safe_dump(_kept_settings(settings), sort_keys=False).encode())


def _take_back(folder: Path, made: bool) -> None:
    """Leave nothing of a run that a mistake ended before it began: the mended command may name the folder again."""
    if not folder.exists():  # somebody took it away
        return
    if {entry.name for entry in folder.iterdir()} <= {LOCK_NAME, SETTINGS_NAME, TENSORBOARD_NAME}:
        shutil.rmtree(folder / TENSORBOARD_NAME, ignore_errors=True)  # of a run that logged no epoch
        (folder / SETTINGS_NAME).unlink(missing_ok=True)
        (folder / LOCK_NAME).unlink(missing_ok=True)
        if made:
            folder.rmdir()


def recorded_settings(settings: BaseRunSettings) -> dict[str, Any]:
    """Return the settings that decide a result, as plain values."""
    return {name: value for name, value in _kept_settings(settings).items() if name != "checkpoint"}


def _kept_settings(settings: BaseRunSettings) -> dict[str, Any]:
    """Return what settings.yml holds, which ``--config`` reads back: to repeat a run, or to resume it."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return {name: value for name, value in document.items() if name not in _NOT_KEPT}


def result_settings(document: Any, free: Collection[str]) -> dict[str, Any]:
    """Return the settings that decide a result: not where the data is and how fast it comes.

    Args:
        document: settings as plain values, those of a group in a dictionary.
        free: names of those that decide nothing either.
    """
    if not isinstance(document, dict):
        return {}
    kept = {name: value for name, value in document.items() if name not in free}
    if isinstance(kept.get("data"), dict):
        kept["data"] = {name: value for name, value in kept["data"].items() if name not in _FREE_OF_DATA}
    return kept


def _new_folder(settings: BaseRunSettings, trial: NniTrial | None) -> Path:
    if settings.output is not None:
        return Path(settings.output).expanduser()
    if trial is not None:
        return trial.output_folder
    return Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]


def _resumed_folder(settings: BaseRunSettings, trial: NniTrial | None) -> Path | None:
    if settings.resume is not None:
        folder = Path(settings.resume).expanduser()
        if not (folder / SETTINGS_NAME).is_file() and (folder / LOCK_NAME).exists():
            raise SettingError(
                f"resume: the run in {str(folder)!r} was cut off before it began; give its command again, with "
                f"--output {folder}"
            )
        if not (folder / SETTINGS_NAME).is_file():
            raise SettingError(f"resume: there is no run in {str(folder)!r}; give the output folder of one")
        return folder.resolve()
    if trial is not None and settings.output is None and (trial.output_folder / SETTINGS_NAME).is_file():
        return trial.output_folder.resolve()
    return None


def _is_cut_off(folder: Path) -> bool:
    return (folder / SETTINGS_NAME).is_file() and not (folder / SUMMARY_NAME).exists()


def _refuse_other_settings(source: Path, settings: BaseRunSettings) -> None:
    """A resumed run has the settings that it began with, or its result would be of no settings at all."""
    try:
        before = read_yaml(source / SETTINGS_NAME)
    except SettingError as error:
        raise SettingError(f"resume: the run's {SETTINGS_NAME} cannot be read: {error}") from error
    # A setting that is newer than the run had its default there, if nothing else is known.
    unsaid = merged(recorded_settings(type(settings)()), settings.before)
    before = merged(unsaid, before if isinstance(before, dict) else {})
    first, now = (_flat(result_settings(each, _FREE)) for each in (before, recorded_settings(settings)))
    different = sorted(name for name in first.keys() | now.keys() if first.get(name) != now.get(name))
    if different:
        name = different[0]
        raise SettingError(
            f"resume: the run in {str(source)!r} began with {name} {first.get(name)!r}, not {now.get(name)!r}. "
            "Resume it with the same settings (they are read from its folder if you give none), or begin a new one"
        )


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict) and value:
            found.update(_flat(value, f"{prefix}{name}."))
        elif value is not None and value != {}:
            found[f"{prefix}{name}"] = value
    return found


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock inside a ``with`` block; the system gives it back however the process ends.

    A record lock, which processes that prepare batches do not inherit: a killed run must not seem alive by them.

    Raises:
        SettingError: another process holds it, or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise SettingError(f"output: cannot write into {str(folder)!r}: {error.strerror}") from error
    try:
        if fcntl is not None:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SettingError(
                    f"output: process {_holder(descriptor)} is writing into {str(folder)!r}. Nothing was changed; wait "
                    "for it, or give another folder"
                ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 20, 0).decode("ascii", "replace")
    return text if text.isdecimal() else "of another user"
