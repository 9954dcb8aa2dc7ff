"""The folder that a run leaves: the names of its files, its result, and what it says about its data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.metric import ACCURACY, DecidingMetric, recorded_metric
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, readable, reason_of
from snas_nni.showing.tables import html_table

__all__ = ["RUN_FILES", "SearchResult", "Summary", "read_result", "read_summary"]

MAX_BYTES = 2**22
RUN_FILES = {
    "summary.json": "written last, by a search that ended",
    "architecture.json": "the child",
    "weights.safetensors": "the child's weights",
    "model.onnx": "the child for ONNX Runtime",
    "metrics.csv": "numbers by epoch",
    "settings.yml": "settings",
}


@dataclass(frozen=True)
class Summary:
    """The part of summary.json that is read back.

    Attributes:
        path: of the file, which need not be there.
        class_names: in label order; None if it does not say.
        normalization: mean and standard deviation of each channel, finite and above 0; None if it does not say.
    """

    path: Path
    class_names: list[str] | None = None
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def read_summary(folder: Path) -> Summary:
    """Read the summary of a result folder; without one, nothing is known.

    Raises:
        SettingError: names the file and the key that is wrong.
    """
    # The last weights of a retraining lie one folder below what they share with the best ones.
    path = next((each for each in (folder / "summary.json", folder.parent / "summary.json") if each.is_file()), None)
    if path is None or (path.parent != folder and folder.name != "last"):
        return Summary(folder / "summary.json")
    try:
        document = parse_json(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read: {reason_of(error, 200)}") from error
    if not isinstance(document, dict):
        return Summary(path)
    names, statistics = document.get("class_names"), document.get("normalisation")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise SettingError(f"{path}: class_names must be a list of texts, not {readable(names)}")
    if statistics is None:
        return Summary(path, names)
    if not isinstance(statistics, dict):
        raise SettingError(f"{path}: normalisation must have mean and deviation, not {readable(statistics)}")
    mean, std = (_numbers(statistics.get(key), f"{path}: normalisation.{key}") for key in ("mean", "deviation"))
    if min(std, default=1) <= 0 or len(mean) != len(std):
        raise SettingError(f"{path}: normalisation must have a mean and a deviation above 0 for each channel")
    return Summary(path, names, (mean, std))


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    if isinstance(value, list) and all(type(each) in (int, float) and abs(each) < 1e30 for each in value):
        return tuple(float(each) for each in value if math.isfinite(each))
    raise SettingError(f"{where} must be a list of finite numbers, not {readable(value)}")


@dataclass(frozen=True)
class SearchResult:
    """What one search run found.

    Attributes:
        output: folder with architecture.json, weights.safetensors, model.onnx, metrics.csv and summary.json.
        metrics: the deciding metric and the loss of each split, and what else was measured.
        parameters: number of parameters of the child.
        metric: the one that decides.
    """

    output: Path
    metrics: dict[str, float]
    parameters: int
    metric: DecidingMetric = ACCURACY

    def _repr_html_(self) -> str:
        """Return what a notebook shows: where the files are, and what was measured."""
        rows: list[tuple[str, str]] = [("folder", str(self.output)), ("parameters", f"{self.parameters:,}")]
        for name, value in self.metrics.items():
            rows.append((name.replace("_", " "), f"{value:.1%}" if name.endswith("accuracy") else f"{value:.6g}"))
        return html_table("What the search found", rows)


def read_result(output: Path) -> SearchResult:
    """Read what a finished run in ``output`` found.

    Raises:
        SettingError: its summary cannot be read.
    """
    try:
        document = parse_json(read_bounded(output / "summary.json", MAX_BYTES))
        metric = recorded_metric(document, {})
        return SearchResult(output, dict(document["metrics"]), int(document["parameters"]), metric)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingError(f"{str(output / 'summary.json')!r} is not the summary of a run: {error}") from error
