"""The latency table of a space on this machine, from the times of its children."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

from exports import InputExample
from exports.latency.clock import (
    TimerError,
    command_timer,
    device_of,
    measure,
    onnxruntime_timer,
    runtime_of,
    timing_of,
)
from snas_nni import SNAS, LatencyTable, measure_latency
from snas_nni.distribution.choices import Choice
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, write_atomically
from trials.latency.campaign import Writer, campaign_of
from trials.progress import Progress, readable_duration
from trials.settings.costs.latency import LatencySettings

__all__ = ["measure_table", "said_of", "timer_of"]

_MAX_BYTES = 2**26


def measure_table(
    space: Callable[[], ModelSpace],
    example: InputExample,
    settings: LatencySettings,
    progress: Progress,
    work: Path,
    command: str | None = None,
    writer: Writer | None = None,
) -> tuple[LatencyTable, Mapping[str, Choice]]:
    """Measure the table of a space.

    Args:
        space: makes the model space; each call a new one.
        example: what one input looks like.
        settings: the clock.
        progress: told how far it is.
        work: folder for files and times until the table is there; what an earlier call left in it is used. It is
            removed at the end.
        command: a command line that times a file, in place of ONNX Runtime; see
            :func:`exports.latency.clock.command_timer`.
        writer: writes the files that it times, in place of ONNX files.

    Returns:
        The table, and the choices of the space.

    Raises:
        SettingError: a file cannot be written or timed, the provider is not there, or a writer has no command.
        SnasError: the space cannot be searched, counted or exported.
    """
    if writer is not None and command is None:
        raise SettingError("latency: ONNX Runtime cannot time what a writer writes; say with --timer what can")
    if settings.clock == "pytorch" and command is None:
        strategy = SNAS(seed=0)
        supernet = strategy.mutate_model(space())
        table = measure_latency(supernet, strategy.distribution, example.batch(settings.batch))
        return table, strategy.distribution.choices
    start = time.monotonic()
    campaign = campaign_of(space, example, settings)
    progress.say(f"latency: {len(campaign.plan.samples)} children are exported and timed")
    files = campaign.write_graphs(work / "graphs", settings.int8, progress, writer)
    task = {"runtime": command or settings.runtime, "files": len(files)}
    known = _known(work / "times.json", task)
    counter = progress.counter("children timed", settings.passes * len(files))

    def keep(number: int, runs: Mapping[str, Sequence[Sequence[float]]]) -> None:
        document = {"task": task, "runs": {Path(path).name: each for path, each in runs.items()}}
        write_atomically(work / "times.json", json.dumps(document).encode())

    try:
        runs = measure(
            files,
            timer_of(settings, command),
            passes=settings.passes,
            known={str(work / "graphs" / name): each for name, each in known.items()},
            after_pass=keep,
            after_file=counter.advance,
        )
    except TimerError as error:
        raise SettingError(f"latency: {error}") from error
    timings = [timing_of(runs[str(file)]) for file in files]
    table = campaign.plan.table(
        [each["milliseconds"] for each in timings],
        device_of(),
        {**runtime_of(settings.runtime, command), **spread_of(timings), "int8": settings.int8},
    )
    shutil.rmtree(work)
    progress.say(f"latency: measured in {readable_duration(time.monotonic() - start)}; {said_of(table)}")
    return table, campaign.strategy.distribution.choices


def timer_of(settings: LatencySettings, command: str | None = None) -> Callable[[str], Sequence[float]]:
    """Return what times a file.

    Raises:
        SettingError: ONNX Runtime has no such provider.
    """
    try:
        return command_timer(command) if command is not None else onnxruntime_timer(settings.runtime)
    except TimerError as error:
        raise SettingError(f"latency.provider: {error}") from error


def spread_of(timings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the times of children say of the machine: how much passes differ, and how many were disturbed."""
    spreads = sorted(each["spread"] for each in timings)
    return {"spread": spreads[len(spreads) // 2], "disturbed_passes": sum(each["disturbed"] for each in timings)}


def said_of(table: LatencyTable) -> str:
    """Say in words how well a table predicts, and what disturbed its measurement."""
    found = table.calibration
    words = "it was not compared with other children"
    if found:
        words = f"on {found['children']} other children it errs by {100 * found['median_error']:.1f} % in the median"
        words += f", {100 * found['p90_error']:.1f} % at the 90th percentile"
        words += f", Spearman {found['spearman']:.3f}" if "spearman" in found else ""
    disturbed = table.measurement.get("disturbed_passes", 0)
    return words + (f"; {disturbed} passes were disturbed by other work on the machine" if disturbed else "")


def _known(path: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier call measured of the same."""
    try:
        document = parse_json(read_bounded(path, _MAX_BYTES))
        return dict(document["runs"]) if document["task"] == task else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
