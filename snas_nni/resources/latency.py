"""Measured latency: one table per device, as a polynomial in Z like every other cost.

A child's latency is by definition the sum of its entries in the table.
"""

from __future__ import annotations

import json
import os
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

from snas_nni.choices import Choice, OneOf
from snas_nni.distribution import ArchitectureDistribution
from snas_nni.errors import SettingError
from snas_nni.resources.counting import evaluating
from snas_nni.resources.polynomial import Polynomial, Term
from snas_nni.resources.trace import Owner, Trace

__all__ = ["LatencyTable", "measure_latency"]

_FORMAT, _VERSION = "snas-nni/latency", 1
_MAX_BYTES = 64 * 2**20


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
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text(content, encoding="utf-8")
        os.replace(part, path)

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
        parts: dict[Owner, list[Polynomial]] = defaultdict(list)
        for number, entry in enumerate(document["entries"]):
            where = f"{path}: entries[{number}]"
            if not isinstance(entry, dict):
                raise SettingError(f"{where}: must be an object, got {type(entry).__name__}.")
            value = entry.get("milliseconds")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
                raise SettingError(f"{where}.milliseconds: must be a finite number, got {value!r}.")
            parts[_owner(entry.get("layer"), choices, where)].append(
                Polynomial({_term(entry.get("when"), choices, where): float(value)})
            )
        return LatencyTable(
            {owner: Polynomial.sum(polynomials) for owner, polynomials in parts.items()},
            document.get("device", {}),
            document.get("measurement", {}),
        )


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SettingError(f"{path}: larger than {_MAX_BYTES // 2**20} MiB, this is no latency table.")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise SettingError(f"{path}: format must be {_FORMAT!r}. Measure a table with measure_latency(...).save(...).")
    if document.get("version") != _VERSION or isinstance(document["version"], bool):
        raise SettingError(f"{path}: version is {document.get('version')!r}, this program reads {_VERSION}.")
    for key, kind in (("entries", list), ("device", dict), ("measurement", dict)):
        if not isinstance(document.get(key, kind()), kind) or (key == "entries" and key not in document):
            raise SettingError(f"{path}: {key} must be a {'list' if kind is list else 'JSON object'}.")
    return document


def _term(when: Any, choices: Mapping[str, Choice], where: str) -> Term:
    if not isinstance(when, dict):
        raise SettingError(f"{where}.when: must be an object of label and candidate.")
    term = []
    for label, candidate in when.items():
        if label not in choices:
            raise SettingError(f"{where}.when: the space has no label {label!r}; the table is of another space.")
        if not isinstance(choices[label], OneOf):
            raise SettingError(f"{where}.when: label {label!r} chooses several at once, which has no latency.")
        names = [str(c) for c in choices[label].candidates]
        if candidate not in names:
            raise SettingError(f"{where}.when[{label!r}]: no candidate {candidate!r}; there are {', '.join(names)}.")
        term.append((label, names.index(candidate)))
    return tuple(sorted(term))


def _owner(layer: Any, choices: Mapping[str, Choice], where: str) -> Owner:
    if layer is None:
        return None
    if (
        not isinstance(layer, dict)
        or not isinstance(layer.get("label"), str)
        or layer["label"] not in choices
        or type(layer.get("index")) is not int
        or layer["index"] < 0
    ):
        raise SettingError(f"{where}.layer: must be null or a label of the space and an index, got {layer!r}.")
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
