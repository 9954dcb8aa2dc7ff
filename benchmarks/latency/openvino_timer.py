"""OpenVINO as a latency timer: ``--timer 'python benchmarks/latency/openvino_timer.py'``, or a function.

A second engine beside ONNX Runtime, with kernels, fusions and a memory order of its own. It needs the package openvino.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from exports.latency.clock import repeated

__all__ = ["openvino_timer"]


def openvino_timer(threads: int = 1, batch: int = 1) -> Callable[[str], Sequence[float]]:
    """Return a timer that runs ONNX files in OpenVINO on the CPU.

    Args:
        threads: at least 1.
        batch: inputs of one run, at least 1.
    """
    import numpy
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}

    def timer(path: str) -> Sequence[float]:
        model = core.read_model(path)
        shape: list[Any] = [side.get_length() if side.is_static else batch for side in model.input().partial_shape]
        model.reshape(shape)
        request = core.compile_model(model, "CPU", options).create_infer_request()
        images = numpy.random.default_rng(0).standard_normal(shape).astype("float32")
        return repeated(lambda: request.infer([images]))

    return timer


if __name__ == "__main__":
    print(*openvino_timer()(sys.argv[1]))
