"""8-bit ONNX files by ONNX Runtime's own static quantisation, calibrated on training images."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from exports.onnx_files.quantization import quantize_file
from trials.data.loaders import evaluation_loader
from trials.data.types import LabelledTensors, TaskData
from trials.state.failures import write_result
from trials.training.evaluation import onnx_predictor

__all__ = ["quantize"]


def quantize(source: Path, target: Path, data: TaskData, images: int, seed: int = 0) -> None:
    """Write an 8-bit file that stores weights as int8 and computes with int8 activations (QDQ form).

    Args:
        source: the ONNX file of numbers in 32 bits, which is left as it is.
        target: the file to write; it appears when ONNX Runtime has run it, and not at all otherwise.
        data: its training split gives the ranges of the activations.
        images: how many of them, at least 1.
        seed: of their choice.

    Raises:
        SnasError: the file cannot be quantised, written, loaded or run.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(data.train), generator=generator)[:images]
    chosen = data.train.select(rows)
    small = quantize_file(source, (inputs.numpy() for inputs, _ in evaluation_loader(data, chosen)))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "quantized.onnx"
        written.write_bytes(small)
        few = LabelledTensors(chosen.inputs[:2], chosen.labels[:2])
        onnx_predictor(written)(next(iter(evaluation_loader(data, few)))[0])
        write_result(target, small)
