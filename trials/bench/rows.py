"""The rows of a comparison in one JSON file, which is whole at any time and which a cut run goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snas_nni.errors import SettingError
from trials.state.failures import write_result

__all__ = ["Row", "Rows"]

Row = dict[str, Any]


class Rows:
    """Results by method and seed.

    Args:
        path: of the JSON file; read if it is there.
        settings: that decide the results, as plain values.
        command: that the file is to name.
        defaults: of the settings; a setting that is newer than the file counts as its default there.

    Raises:
        SettingError: the file is no such file, or holds results of other settings.
    """

    def __init__(
        self, path: Path, settings: dict[str, Any], command: str, defaults: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.command = command
        self._settings = settings
        self._defaults = defaults or {}
        self._read()

    def find(self, method: str, seed: int) -> Row | None:
        """The finished row, if there is one."""
        return next((row for row in self.rows if (row["method"], row["seed"]) == (method, seed)), None)

    def keep(self, row: Row) -> None:
        """Add a finished row, or replace the one of its method and seed, to what the file has by now."""
        self._read()  # another run of other rows may have written since
        key = row["method"], row["seed"]
        self.rows = [each for each in self.rows if (each["method"], each["seed"]) != key]
        self.rows.append(row)
        self.write()

    def _read(self) -> None:
        if self.path.exists():
            self.rows = _read(self.path, self._settings, self._defaults)

    def write(self) -> None:
        """Replace the file in one go."""
        document = {"command": self.command, "settings": self._settings, "rows": self.rows}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_result(self.path, (json.dumps(document, indent=1) + "\n").encode())


def _read(path: Path, settings: dict[str, Any], defaults: dict[str, Any]) -> list[Row]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows: list[Row] = document["rows"]
        found = dict(document["settings"])
        for row in rows:
            _ = row["method"], row["seed"]  # what every row must have
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"output: {path} is not a result file of this command; give another file") from error
    found = _completed(found, defaults)
    other = sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key))
    if other:
        raise SettingError(
            f"output: {path} holds results of other settings ({', '.join(other)}); give another file, or these settings"
        )
    return rows


def _completed(found: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    completed = {**defaults, **found}
    for key, value in found.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict):
            completed[key] = _completed(value, defaults[key])
    return completed
