"""8-bit ONNX files by ONNX Runtime's own static quantization, calibrated on given inputs."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from snas_nni.errors import SnasError

__all__ = ["quantize_file"]


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
