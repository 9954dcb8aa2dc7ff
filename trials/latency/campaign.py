"""The children of a space that are measured, as files in a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nni.nas.nn.pytorch import ModelSpace

from exports import InputExample
from exports.latency.graphs import write_graph
from snas_nni import SNAS, derive_child
from snas_nni.resources.latency import MeasurementPlan, plan_measurements
from trials.latency.quantized import quantized_for_timing
from trials.progress import Progress
from trials.settings.costs.latency import LatencySettings

__all__ = ["Campaign", "campaign_of"]


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

    def write_graphs(self, folder: Path, int8: bool, progress: Progress) -> list[Path]:
        """Write each child as an ONNX file ``NNNN.onnx``; files that are there already stay.

        Args:
            folder: to write into.
            int8: quantize them to 8 bits.
            progress: told how many are done.

        Raises:
            OnnxExportError: a child cannot be exported.
            SnasError: ONNX Runtime cannot quantize one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        inputs, samples = self.example.batch(2), self.plan.samples
        counter = progress.counter("children exported", len(samples))
        files = []
        for number, sample in enumerate(samples):
            file = folder / f"{number:04d}.onnx"
            if not file.is_file():
                child = derive_child(self.supernet, sample).eval()
                if int8:
                    with tempfile.TemporaryDirectory() as whole:
                        quantized_for_timing(write_graph(child, Path(whole) / "child.onnx", inputs), file, self.example)
                else:
                    write_graph(child, file, inputs)
            files.append(file)
            counter.advance()
        return files


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
