"""Measured latency: one table per device, as a polynomial in Z like every other cost.

A child's latency is by definition the sum of its entries in the table.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice, OneOf
from snas_nni.distribution.polynomial import Polynomial, Term
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, readable, reason_of, write_atomically
from snas_nni.supernet.evaluating import evaluating

__all__ = ["LatencyTable", "measure_latency"]

_FORMAT, _VERSION = "snas-nni/latency", 1
_MAX_BYTES = 8 * 2**20  # tens of thousands of entries; a large space has thousands


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of each part of the network, by when that part is in the child.

    Attributes:
        parts: by the choice that decides; None for what every child has.
        device: description of the machine it was measured on.
        measurement: batch shape, repeats and threads.
    """

    parts: Mapping[Owner, Polynomial]
    device: Mapping[str, Any] = field(default_factory=dict)
    measurement: Mapping[str, Any] = field(default_factory=dict)

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
        )


def _document(path: Path) -> dict[str, Any]:
    shown = readable(str(path), 300)
    try:
        document = parse_json(read_bounded(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{shown}: cannot be read as JSON ({reason_of(error, 200)}).") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise SettingError(f"{shown}: format must be {_FORMAT!r}. Measure a table with measure_latency(...).save(...).")
    if document.get("version") != _VERSION or type(document["version"]) is not int:
        raise SettingError(f"{shown}: version is {_shown(document.get('version'))}, this program reads {_VERSION}.")
    for key in document:
        if key not in ("format", "version", "device", "measurement", "entries"):
            raise SettingError(f"{shown}: {readable(key, 60)} is an unknown key.")
    for key, kind in (("entries", list), ("device", dict), ("measurement", dict)):
        if not isinstance(document.get(key, kind()), kind) or (key == "entries" and key not in document):
            raise SettingError(f"{shown}: {key} must be a {'list' if kind is list else 'JSON object'}.")
    for key in ("device", "measurement"):
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


class _Stopwatch:
    """Exclusive time of each stretch between two conditions, in the order they come."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self._synchronize = synchronize
        self.laps: list[float] = []
        self._stack: list[int] = []
        self._last = 0.0

    def start(self) -> None:
        self.laps, self._stack = [0.0], [0]
        self._last = time.perf_counter()

    def observe(self, entered: bool) -> None:
        self._synchronize()
        now = time.perf_counter()
        self.laps[self._stack[-1]] += now - self._last
        if entered:
            self.laps.append(0.0)
            self._stack.append(len(self.laps) - 1)
        else:
            self._stack.pop()
        self._last = time.perf_counter()

    def stop(self) -> list[float]:
        self._synchronize()
        self.laps[0] += time.perf_counter() - self._last
        return self.laps


class _WatchedTrace(Trace):
    """Remembers the condition and owner of each stretch."""

    def __init__(self, stopwatch: _Stopwatch, values: Mapping[str, int]) -> None:
        super().__init__(values, self._observe)
        self.stopwatch = stopwatch
        self.stretches: list[tuple[Owner, Polynomial]] = [(None, self.condition)]

    def _observe(self, entered: bool) -> None:
        if entered:
            self.stretches.append((self.owner, self.condition))
        self.stopwatch.observe(entered)


def measure_latency(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    inputs: Tensor | tuple[Any, ...],
    *,
    warmup: int = 3,
    repeats: int = 20,
) -> LatencyTable:
    """Measure every candidate on this machine, each on the input it gets in the network.

    Each stretch of the network counts with the median of ``repeats`` passes after ``warmup``. A choice whose values
    slice shared weights (channels, kernels) counts with the difference that it makes to the whole pass by itself.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        inputs: the input to time, on the device to time.
        warmup: passes that do not count, >= 1.
        repeats: passes that count, >= 1.
    """
    if warmup < 1 or repeats < 1:
        raise SettingError(f"warmup and repeats must be >= 1, got {warmup} and {repeats}.")
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    trace, laps = _timed(supernet, distribution, arguments, {}, warmup, repeats)
    parts: dict[Owner, list[Polynomial]] = defaultdict(list)
    for (owner, condition), milliseconds in zip(trace.stretches, laps, strict=True):
        parts[owner].append(condition * milliseconds)
    for label in sorted(trace.slicing_labels):
        for index in range(1, len(distribution.choices[label].candidates)):
            _, varied = _timed(supernet, distribution, arguments, {label: index}, 1, repeats)
            parts[(label, 0)].append(Polynomial.entry(label, index) * (sum(varied) - sum(laps)))
    tensors = [value for value in arguments if isinstance(value, Tensor)]
    return LatencyTable(
        {owner: Polynomial.sum(polynomials) for owner, polynomials in parts.items()},
        device={
            "machine": platform.machine(),
            "processor": platform.processor() or platform.machine(),
            "system": platform.system(),
            "device": str(tensors[0].device) if tensors else "cpu",
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        },
        measurement={"inputs": [list(t.shape) for t in tensors], "warmup": warmup, "repeats": repeats},
    )


def _timed(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    arguments: tuple[Any, ...],
    values: Mapping[str, int],
    warmup: int,
    repeats: int,
) -> tuple[_WatchedTrace, list[float]]:
    devices = {value.device.type for value in arguments if isinstance(value, Tensor)} - {"cpu"}
    synchronize = torch.accelerator.synchronize if devices else lambda: None  # kernels run on after their launch
    passes = []
    for _ in range(warmup + repeats):
        stopwatch = _Stopwatch(synchronize)
        trace = _WatchedTrace(stopwatch, values)
        with evaluating(supernet, distribution, trace):
            stopwatch.start()
            supernet(*arguments)
            passes.append(stopwatch.stop())
    medians = [1000 * statistics.median(lap) for lap in zip(*passes[warmup:], strict=True)]
    return trace, medians
