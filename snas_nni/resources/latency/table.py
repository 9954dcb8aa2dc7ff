"""Measured latency: one table for each device and runtime, as a polynomial in Z like every other cost.

A child's latency is by definition the sum of its entries in the table.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snas_nni.distribution.choices import Choice, OneOf
from snas_nni.distribution.polynomial import Polynomial, Term
from snas_nni.distribution.trace import Owner
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, readable, reason_of, write_atomically

__all__ = ["MAX_BYTES", "LatencyTable", "table_header"]

_FORMAT, _VERSION = "snas-nni/latency", 1
MAX_BYTES = 8 * 2**20  # tens of thousands of entries; a large space has thousands


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of each part of the network, by when that part is in the child.

    Attributes:
        parts: by the choice that decides; None for what every child has.
        device: description of the machine it was measured on.
        measurement: how it was measured: runtime, its version and settings, or repeats and batch shape.
        calibration: how well it predicts whole children that it was not fitted to, if that was measured; see
            :class:`~snas_nni.resources.latency.Calibration`.
    """

    parts: Mapping[Owner, Polynomial]
    device: Mapping[str, Any] = field(default_factory=dict)
    measurement: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path, choices: Mapping[str, Choice]) -> None:
        """Write the table as JSON, atomically.

        Args:
            path: the file.
            choices: of the space, for the names of the candidates.

        Raises:
            SettingError: two candidates of a label have the same name.
        """
        path = Path(path)
        for label, choice in choices.items():
            if len({str(candidate) for candidate in choice.candidates}) < len(choice.candidates):
                raise SettingError(f"label '{label}': two candidates have the same name, so a file cannot tell them.")
        entries = [
            {
                "when": {label: str(choices[label].candidates[index]) for label, index in term},
                "layer": None if owner is None else {"label": owner[0], "index": owner[1]},
                "milliseconds": value,
            }
            for owner, polynomial in self.parts.items()
            for term, value in polynomial.terms.items()
        ]
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "device": dict(self.device),
            "measurement": dict(self.measurement),
            "calibration": dict(self.calibration),
            "entries": entries,
        }
        content = json.dumps(document, indent=1)
        write_atomically(path, content.encode())

    @staticmethod
    def load(path: str | Path, choices: Mapping[str, Choice]) -> LatencyTable:
        """Read a table that :meth:`save` wrote, on this or another device.

        Args:
            path: the file.
            choices: of the space it is to be used with.

        Raises:
            SettingError: names the file and the key that is wrong.
        """
        document = _document(Path(path))
        parts: dict[Owner, dict[Term, float]] = defaultdict(lambda: defaultdict(float))
        for number, entry in enumerate(document["entries"]):
            where = f"{readable(str(path), 300)}: entries[{number}]"
            if not isinstance(entry, dict):
                raise SettingError(f"{where}: must be an object, got {type(entry).__name__}.")
            for key in entry:
                if key not in ("when", "layer", "milliseconds"):
                    raise SettingError(f"{where}.{readable(key, 60)}: unknown; there are when, layer, milliseconds.")
            value = entry.get("milliseconds")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
                raise SettingError(f"{where}.milliseconds: must be a finite number below 1e9, got {_shown(value)}.")
            owner = _owner(entry.get("layer"), choices, where)
            parts[owner][_term(entry.get("when"), choices, where)] += float(value)
        return LatencyTable(
            {owner: Polynomial({t: v for t, v in terms.items() if v}) for owner, terms in parts.items()},
            document.get("device", {}),
            document.get("measurement", {}),
            document.get("calibration", {}),
        )


def table_header(path: str | Path) -> dict[str, Any]:
    """Return what a table's file says of its ``device``, ``measurement`` and ``calibration``, each a dictionary.

    Raises:
        SettingError: names the file and what is wrong.
    """
    document = _document(Path(path))
    return {key: document.get(key, {}) for key in ("device", "measurement", "calibration")}


def _document(path: Path) -> dict[str, Any]:
    shown = readable(str(path), 300)
    try:
        document = parse_json(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{shown}: cannot be read as JSON ({reason_of(error, 200)}).") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise SettingError(f"{shown}: format must be {_FORMAT!r}. Make a table with snas-nni latency measure.")
    if document.get("version") != _VERSION or type(document["version"]) is not int:
        raise SettingError(f"{shown}: version is {_shown(document.get('version'))}, this program reads {_VERSION}.")
    for key in document:
        if key not in ("format", "version", "device", "measurement", "calibration", "entries"):
            raise SettingError(f"{shown}: {readable(key, 60)} is an unknown key.")
    for key, kind in (("entries", list), ("device", dict), ("measurement", dict), ("calibration", dict)):
        if not isinstance(document.get(key, kind()), kind) or (key == "entries" and key not in document):
            raise SettingError(f"{shown}: {key} must be a {'list' if kind is list else 'JSON object'}.")
    for key in ("device", "measurement", "calibration"):
        try:
            json.dumps(document.get(key, {}), allow_nan=False)
        except (ValueError, RecursionError) as error:
            raise SettingError(f"{shown}: {key} cannot be written as JSON again ({error}).") from None
    return document


def _shown(value: Any) -> str:
    return readable(repr(value) if isinstance(value, str) else value)


def _term(when: Any, choices: Mapping[str, Choice], where: str) -> Term:
    if not isinstance(when, dict):
        raise SettingError(f"{where}.when: must be an object of label and candidate.")
    term = []
    for label, candidate in when.items():
        if label not in choices:
            raise SettingError(f"{where}.when: the space has no label {_shown(label)}; the table is of another space.")
        if not isinstance(choices[label], OneOf):
            raise SettingError(f"{where}.when: label {label!r} chooses several at once, which has no latency.")
        names = [str(c) for c in choices[label].candidates]
        if candidate not in names:
            raise SettingError(
                f"{where}.when[{_shown(label)}]: no candidate {_shown(candidate)}; "
                f"there are {readable(', '.join(names), 200)}."
            )
        term.append((label, names.index(candidate)))
    return tuple(sorted(term))


def _owner(layer: Any, choices: Mapping[str, Choice], where: str) -> Owner:
    if layer is None:
        return None
    if (
        not isinstance(layer, dict)
        or set(layer) != {"label", "index"}
        or not isinstance(layer["label"], str)
        or layer["label"] not in choices
        or type(layer["index"]) is not int
        or layer["index"] < 0
    ):
        raise SettingError(f"{where}.layer: must be null or a label of the space and an index, got {_shown(layer)}.")
    return layer["label"], layer["index"]
