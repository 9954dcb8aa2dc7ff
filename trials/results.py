"""The files that a search leaves: written one by one, each whole, the summary last."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml
from torch import nn

from exports import Architecture, export_onnx, save, save_weights
from exports.files import write_atomically
from snas_nni.errors import SettingError
from trials.nni_trial import NniTrial

__all__ = [
    "LAST_CHECKPOINT",
    "SearchResult",
    "last_checkpoint",
    "new_output_folder",
    "recorded_settings",
    "write_results",
    "write_settings",
]


LAST_CHECKPOINT = Path("checkpoints") / "last.ckpt"
"""Where in the output folder the state after the last whole epoch is."""


class OutputSettings(Protocol):
    """The settings of any run that leaves a folder; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def output(self) -> str | None:
        """Folder of the results."""
        ...

    @property
    def resume(self) -> str | None:
        """Output folder of the run to go on with."""
        ...


@dataclass(frozen=True)
class SearchResult:
    """What one search run found.

    Attributes:
        output: folder with architecture.json, weights.safetensors, model.onnx, metrics.csv and summary.json.
        metrics: accuracies in [0, 1], losses in nats, and what else was measured.
        parameters: number of parameters of the child.
    """

    output: Path
    metrics: dict[str, float]
    parameters: int


def new_output_folder(settings: OutputSettings, trial: NniTrial | None) -> Path:
    """Make the folder of the results.

    Raises:
        SettingError: the folder has something in it, or cannot be made.
    """
    if settings.output is not None:
        folder = Path(settings.output).expanduser()
    elif trial is not None:
        folder = trial.free_output_folder()
    else:
        folder = Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise SettingError(f"output: cannot make the folder {str(folder)!r}: {error.strerror}") from error
    if occupied:
        raise SettingError(f"output: the folder {str(folder)!r} is not empty; give another one")
    return folder.resolve()


def recorded_settings(settings: OutputSettings) -> dict[str, Any]:
    """Return the settings that decide a result, as plain values."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return {name: value for name, value in document.items() if name not in ("output", "resume", "quiet")}


def write_settings(output: Path, settings: OutputSettings) -> None:
    """Write settings.yml, which ``--config`` reads back: to repeat a search, or to resume it."""
    text = yaml.safe_dump(recorded_settings(settings), sort_keys=False)
    write_atomically(output / "settings.yml", text.encode())


def last_checkpoint(settings: OutputSettings) -> Path | None:
    """Return the checkpoint to go on from, if the search is to be resumed.

    Raises:
        SettingError: the folder has none.
    """
    if settings.resume is None:
        return None
    path = Path(settings.resume).expanduser() / LAST_CHECKPOINT
    if not path.is_file():
        raise SettingError(f"resume: there is no checkpoint {str(path)!r}; give the output folder of a search")
    return path.resolve()


def write_results(
    output: Path,
    architecture: Architecture,
    child: nn.Module,
    input_shape: tuple[int, ...],
    summary: dict[str, Any],
    check: Callable[[Path], dict[str, Any]] | None = None,
) -> SearchResult:
    """Write the child and everything about it.

    Args:
        output: folder to write into.
        architecture: record of the child, without weights.
        child: the trained child.
        input_shape: shape of one input without the batch.
        summary: plain values that go into summary.json too.
        check: looks at the finished ONNX file; what it returns goes into summary.json's ``onnx``.

    Raises:
        OnnxExportError: the child cannot be exported, or ONNX Runtime disagrees with it.
    """
    weights = output / "weights.safetensors"
    architecture = architecture.with_weights(weights, save_weights(child, weights))
    architecture = save(architecture, output / "architecture.json")
    report = export_onnx(child, output / "model.onnx", input_shape, architecture=architecture)
    checked = check(report.path) if check is not None else {}
    document = {
        **summary,
        "metrics": architecture.metrics,
        "parameters": architecture.parameters,
        "onnx": {"opset": report.opset, "max_difference": report.max_difference, "bytes": report.size, **checked},
        "files": ["architecture.json", "weights.safetensors", "model.onnx", "metrics.csv", "settings.yml"],
    }
    # Last, so that a folder with a summary is a folder with everything.
    write_atomically(output / "summary.json", (json.dumps(document, indent=2) + "\n").encode())
    return SearchResult(output, architecture.metrics, architecture.parameters)
