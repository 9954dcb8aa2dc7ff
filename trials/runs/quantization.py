"""8-bit ONNX files by ONNX Runtime's own static quantisation, calibrated on training images."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from snas_nni.errors import SnasError
from trials.data.loaders import evaluation_loader
from trials.data.types import LabelledTensors, TaskData
from trials.state.failures import write_result
from trials.training.evaluation import onnx_predictor

__all__ = ["quantize", "quantize_file"]


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


def quantize_file(source: Path, batches: Iterable[Any]) -> bytes:
    """Return the content of the 8-bit file of an ONNX file, which is not run.

    Args:
        source: the ONNX file of numbers in 32 bits.
        batches: arrays of inputs, batch first, that give the ranges of the activations.

    Raises:
        SnasError: ONNX Runtime cannot quantise it.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared, written = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        try:
            from onnxruntime import quantization
            from onnxruntime.quantization.shape_inference import quant_pre_process

            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(written),
                _reader(source, batches),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
        except Exception as error:
            raise SnasError(f"{source}: ONNX Runtime cannot quantise it: {type(error).__name__}: {error}") from error
        return written.read_bytes()


def _reader(source: Path, batches: Iterable[Any]) -> Any:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    left = iter(batches)

    class Reader(CalibrationDataReader):
        """Gives normalised, unchanged inputs batch by batch."""

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch, or None after the last."""
            batch = next(left, None)
            return None if batch is None else {name: batch}

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice, which has been followed, out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
