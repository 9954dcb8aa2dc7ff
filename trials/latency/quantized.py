"""8-bit files that are only timed: the ranges of activations come from random inputs, since no time depends on them."""

from __future__ import annotations

from pathlib import Path

from exports import InputExample
from exports.onnx_files.quantization import quantize_file

__all__ = ["quantized_for_timing"]


def quantized_for_timing(source: Path, target: Path, example: InputExample) -> Path:
    """Write an 8-bit file of an ONNX file, as ``snas-nni quantize`` does with images; return its path.

    Args:
        source: the ONNX file of numbers in 32 bits.
        target: the file to write.
        example: what one input looks like.

    Raises:
        SnasError: ONNX Runtime cannot quantize it.
    """
    batches = [example.batch(4, seed=seed).numpy() for seed in range(2)]
    target.write_bytes(quantize_file(source, batches))
    return target
