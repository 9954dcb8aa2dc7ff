"""Latency in PyTorch itself: the supernet is run, and every candidate timed on the input that it gets there.

A runtime that optimizes graphs is faster and differs in more than a factor; see :mod:`snas_nni.resources.latency`.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.errors import SettingError
from snas_nni.resources.latency.table import LatencyTable
from snas_nni.supernet.evaluating import evaluating

__all__ = ["measure_latency"]


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
