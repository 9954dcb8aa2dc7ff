"""The children of a space that are measured, as files in a folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn

from exports import InputExample
from exports.latency.graphs import write_graph
from snas_nni import SNAS, derive_child
from snas_nni.errors import SettingError, SnasError
from snas_nni.files import readable
from snas_nni.resources.latency import MeasurementPlan, plan_measurements
from trials.latency.quantized import quantized_for_timing
from trials.progress import Progress
from trials.settings.costs.latency import LatencySettings

__all__ = ["Campaign", "Writer", "campaign_of"]

Writer = Callable[[nn.Module, Tensor, str], object]
"""Writes a network of the user's choice of format: gets a child in evaluation mode, an example of its input of shape
``(1, ...)``, and the path to write to. The name has no suffix: what times the file knows what it is."""


@dataclass(frozen=True)
class Campaign:
    """A space whose children are to be measured.

    Attributes:
        strategy: knows the choices.
        supernet: of the space, with initial weights, which no time depends on.
        plan: the children.
        example: what one input looks like.
    """

    strategy: SNAS
    supernet: ModelSpace
    plan: MeasurementPlan
    example: InputExample

    def write_graphs(self, folder: Path, int8: bool, progress: Progress, writer: Writer | None = None) -> list[Path]:
        """Write each child as a file, ``NNNN.onnx``, or ``NNNN`` by a writer; files that are there already stay.

        Args:
            folder: to write into.
            int8: quantize the ONNX files to 8 bits.
            progress: told how many are done.
            writer: writes another format than ONNX.

        Raises:
            OnnxExportError: a child cannot be exported.
            SettingError: the writer failed, or ``int8`` is asked of it.
            SnasError: ONNX Runtime cannot quantize one.
        """
        if writer is not None and int8:
            raise SettingError("latency.int8: is for ONNX files; let the writer quantize what it writes")
        folder.mkdir(parents=True, exist_ok=True)
        samples = self.plan.samples
        counter = progress.counter("children exported", len(samples))
        files = []
        for number, sample in enumerate(samples):
            file = folder / (f"{number:04d}.onnx" if writer is None else f"{number:04d}")
            if not file.is_file():
                child = derive_child(self.supernet, sample).eval()
                if writer is None:
                    self._write_onnx(child, file, int8)
                else:
                    _write_by(writer, child, self.example.batch(1), file)
            files.append(file)
            counter.advance()
        return files

    def _write_onnx(self, child: nn.Module, file: Path, int8: bool) -> None:
        inputs = self.example.batch(2)
        if not int8:
            write_graph(child, file, inputs)
            return
        with tempfile.TemporaryDirectory() as whole:
            quantized_for_timing(write_graph(child, Path(whole) / "child.onnx", inputs), file, self.example)


def _write_by(writer: Writer, child: nn.Module, inputs: Tensor, file: Path) -> None:
    """Let a writer write; the file gets its name when it is whole."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-") as place:
        path = Path(place) / file.name
        try:
            writer(child, inputs, str(path))
        except SnasError:
            raise
        except Exception as error:
            said = readable(f"{type(error).__name__}: {error}", 400)
            raise SettingError(f"latency: the writer failed at child {file.name}: {said}") from error
        if not path.is_file():
            raise SettingError(f"latency: the writer wrote no file {path.name} at the path that it was given")
        os.replace(path, file)


def campaign_of(space: Callable[[], ModelSpace], example: InputExample, settings: LatencySettings) -> Campaign:
    """Choose the children of a space that are measured.

    Args:
        space: makes the model space.
        example: what one input looks like.
        settings: how many children.

    Raises:
        SnasError: the space cannot be searched, or an operation of it cannot be counted.
    """
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(space())
    plan = plan_measurements(
        supernet, strategy.distribution, example.batch(), children=settings.children, held_out=settings.held_out
    )
    return Campaign(strategy, supernet, plan, example)
