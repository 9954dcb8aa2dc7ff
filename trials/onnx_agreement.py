"""Does the ONNX file decide as the network does, on real images?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from exports import OnnxExportError
from exports.onnx_files.runtime_check import relative_difference
from trials.evaluation import Evaluation, evaluate, onnx_predictor, torch_predictor

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """An ONNX file beside its network.

    Attributes:
        onnx: the file's evaluation.
        different: inputs on which the two decide differently, all of them ties within the tolerance.
        largest_difference: of a logit, as a fraction of the largest logit of its batch.
    """

    onnx: Evaluation
    different: int
    largest_difference: float


def agreement(
    child: nn.Module, path: Path, batches: Iterable[tuple[Tensor, Tensor]], tolerance: float = 1e-3
) -> Agreement:
    """Run the network and the file on the same inputs, both on the CPU.

    Args:
        child: left in evaluation mode on the CPU.
        path: the ONNX file.
        batches: pairs of inputs and labels.
        tolerance: largest difference of a logit, as a fraction of the largest one.

    Raises:
        OnnxExportError: they differ by more, or decide differently where it is no tie; the file is removed.
    """
    in_torch, in_onnx = torch_predictor(child), onnx_predictor(path)
    different, largest = 0, 0.0

    def compared(inputs: Tensor) -> Tensor:
        nonlocal different, largest
        expected, actual = in_torch(inputs), in_onnx(inputs)
        try:
            largest = max(largest, relative_difference(expected.numpy(), actual.numpy(), tolerance))
        except OnnxExportError as error:
            path.unlink(missing_ok=True)
            raise OnnxExportError(f"{path}: on the test split {error}") from None
        different += int((expected.argmax(dim=1) != actual.argmax(dim=1)).sum())
        return actual

    evaluation = evaluate(compared, _each(batches))
    return Agreement(evaluation, different, largest)


def _each(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    yield from batches
