"""The finished child's own time, by the clock that its table was made with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

from exports import InputExample
from exports.latency.clock import DEFAULTS, TimerError, device_of, measure, onnxruntime_timer, runtime_of, timing_of
from snas_nni.errors import SettingError
from snas_nni.files import read_bounded, write_atomically
from snas_nni.resources.latency.table import MAX_BYTES, table_header
from trials.latency.quantized import quantized_for_timing
from trials.latency.tables import measure_table
from trials.progress import Progress
from trials.settings.costs.bounds import given_bounds
from trials.settings.search import RunSettings

__all__ = ["TABLE_FILE", "ChildClock", "table_of_run"]

TABLE_FILE = "latency.json"
"""In the folder of a run: the table that its search uses, also when it is resumed."""


@dataclass(frozen=True)
class ChildClock:
    """Times ONNX files as those were timed that a table was made from.

    Attributes:
        path: of the table.
        example: what one input looks like.
        header: what the table says of its device, measurement and calibration.
    """

    path: Path
    example: InputExample
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        """Whether the table is of ONNX Runtime on this machine, so that files can be timed in the same way."""
        runtime, device = self.header["measurement"], self.header["device"]
        return runtime.get("runtime") == "onnxruntime" and device == device_of() and set(DEFAULTS) <= set(runtime)

    def figures(self, file: Path) -> dict[str, float]:
        """Time a file.

        Returns:
            ``latency_ms``, as the table counts, and ``latency_p50_ms`` and ``latency_p90_ms`` over all runs; nothing
            where the table is of another device or runtime.

        Raises:
            SettingError: ONNX Runtime cannot run the file.
        """
        if not self.is_here:
            return {}
        measurement = self.header["measurement"]
        try:
            timer = onnxruntime_timer({name: measurement[name] for name in DEFAULTS})
            with tempfile.TemporaryDirectory() as folder:
                timed = file
                if measurement.get("int8") is True:
                    timed = quantized_for_timing(file, Path(folder) / "child.onnx", self.example)
                timing = timing_of(measure([timed], timer)[str(timed)])
        except TimerError as error:
            raise SettingError(f"latency: {error}") from error
        return {
            "latency_ms": timing["milliseconds"], "latency_p50_ms": timing["p50"], "latency_p90_ms": timing["p90"],
        }  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Return what a summary says of the table: where and how it was measured, and how well it predicts."""
        here = {"measured_with": runtime_of(self.header["measurement"])["version"]} if self.is_here else {}
        return {**self.header, **here}


def table_of_run(
    settings: RunSettings, folder: Path, space: Callable[[], ModelSpace], example: InputExample, progress: Progress
) -> ChildClock | None:
    """Return the table of a search, which lies in its folder; measured now if one is needed and there is none.

    Args:
        settings: of the search.
        folder: of the search.
        space: makes the model space.
        example: what one input looks like.
        progress: told how far the measurement is.

    Returns:
        None where nothing asks for latency, or PyTorch is the clock.

    Raises:
        SettingError: the given table cannot be read, or a child cannot be timed.
        SnasError: a child cannot be counted or exported.
    """
    resources, path = settings.resources, folder / TABLE_FILE
    wanted = (
        given_bounds(resources)["latency_ms"] is not None or (resources.sweep or "").partition(":")[0] == "latency_ms"
    )
    if not path.is_file():
        if resources.latency_table is not None:
            given = Path(resources.latency_table)
            table_header(given)  # refuses what is no table
            write_atomically(path, read_bounded(given, MAX_BYTES))
        elif not wanted or settings.latency.clock == "pytorch":
            return None
        else:
            table, choices = measure_table(space, example, settings.latency, progress, folder / "latency.work")
            table.save(path, choices)
    return ChildClock(path, example, table_header(path))
