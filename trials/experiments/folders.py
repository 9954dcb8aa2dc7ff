"""The folders that an experiment writes into, looked at before hours of trials end in one that takes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from snas_nni.errors import SettingError

__all__ = ["refuse_unwritable"]


def refuse_unwritable(output: Path, folder: Path) -> None:
    """Refuse folders that cannot be made or written into; nothing is left in them.

    Args:
        output: that gets the results.
        folder: where NNI is to keep the experiment.

    Raises:
        SettingError: names the folder, the reason and the way out.
    """
    _try(output, f"--output {output}", "give another folder with --output")
    _try(folder, f"experimentWorkingDirectory {folder}", "give another one in the experiment file")
    home = Path.home() / "nni-experiments"
    _try(home, f"{home}, in which NNI lists all experiments", "set HOME to a folder that can be")


def _try(folder: Path, what: str, way_out: str) -> None:
    existing = folder.expanduser().absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise SettingError(f"{what}: {existing} cannot be written: {error.strerror}; {way_out}") from error
