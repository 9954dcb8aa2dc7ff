"""What networks and their ONNX files reach, and whether the two agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from exports import InputExample, OnnxExportError
from exports.onnx_files.runtime_check import relative_difference
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources import count_child
from snas_nni.supernet.evaluating import suited
from trials.progress import Progress
from trials.tasks import Classification, Task
from trials.tasks.evaluation import Batches, Evaluation, Predictor, Proportion

__all__ = [
    "Agreement",
    "Evaluation",
    "Proportion",
    "agreement",
    "child_costs",
    "child_metrics",
    "evaluate",
    "find_device",
    "onnx_predictor",
    "torch_predictor",
]


def evaluate(predict: Predictor, batches: Batches, task: Task | None = None) -> Evaluation:
    """Evaluate a network on all batches.

    Args:
        predict: maps inputs to outputs, on the CPU.
        batches: pairs of inputs and targets; at least one.
        task: what the network is for; None for a classifier.
    """
    return (task or Classification(1)).evaluate(predict, batches)


def child_metrics(
    child: nn.Module, batches: Mapping[str, Batches], device: torch.device, task: Task
) -> dict[str, float]:
    """Return the deciding metric and the loss of a child for the batches of each split: ``SPLIT_accuracy``, say."""
    metrics: dict[str, float] = {}
    for name, split in batches.items():
        metrics |= task.evaluate(torch_predictor(child, device), split).metrics(name)
    return metrics


def find_device(name: str) -> torch.device:
    """Return torch's device of that name.

    Raises:
        SettingError: this machine has none.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device).add_(1)
    except Exception as error:
        raise SettingError(f"accelerator: torch cannot use {name!r}: {str(error).splitlines()[0]}") from error
    return device


def torch_predictor(model: nn.Module, device: torch.device | str = "cpu") -> Predictor:
    """Return what ``model`` predicts on ``device``; the model is left there, in evaluation mode.

    Inputs come in the type of its weights: those of a supernet that was trained in other ones than 32 bits differ.
    """
    model.to(device).eval()

    def predict(inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            output = model(suited(inputs.to(device), model))
        outputs: Tensor = output[0] if isinstance(output, tuple) else output  # without an auxiliary head's
        return outputs.cpu()

    return predict


def onnx_predictor(path: Path) -> Predictor:
    """Return what an ONNX file of one input and one output predicts, in ONNX Runtime on the CPU.

    Raises:
        SnasError: ONNX Runtime cannot load the file, or (when called) cannot run it.
    """
    import onnxruntime  # on demand: after `exports`, which tells it what to keep to itself

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it prints errors that it raises as well
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise SnasError(f"{path}: ONNX Runtime cannot load it: {error}") from error
    name = session.get_inputs()[0].name

    def predict(inputs: Tensor) -> Tensor:
        try:
            (outputs,) = session.run(None, {name: inputs.numpy()})
        except Exception as error:
            raise SnasError(f"{path}: ONNX Runtime cannot run it: {error}") from error
        return torch.from_numpy(outputs)

    return predict


@dataclass(frozen=True)
class Agreement:
    """An ONNX file beside its network.

    Attributes:
        onnx: the file's evaluation.
        different: decisions in which the two differ, all of them ties within the tolerance.
        largest_difference: of an output, as a fraction of the largest one of its batch.
    """

    onnx: Evaluation
    different: int
    largest_difference: float


def agreement(
    child: nn.Module, path: Path, batches: Batches, tolerance: float = 1e-3, task: Task | None = None
) -> Agreement:
    """Run the network and the file on the same inputs, both on the CPU.

    Args:
        child: left in evaluation mode on the CPU.
        path: the ONNX file.
        batches: pairs of inputs and targets.
        tolerance: largest difference of an output, as a fraction of the largest one.
        task: what the network is for; None for a classifier.

    Raises:
        OnnxExportError: they differ by more, or decide differently where it is no tie; the file is removed.
    """
    in_torch, in_onnx, task = torch_predictor(child), onnx_predictor(path), task or Classification(1)
    different, largest = 0, 0.0

    def compared(inputs: Tensor) -> Tensor:
        nonlocal different, largest
        expected, actual = in_torch(inputs), in_onnx(inputs)
        try:
            largest = max(largest, relative_difference(expected.numpy(), actual.numpy(), tolerance))
        except OnnxExportError as error:
            path.unlink(missing_ok=True)
            raise OnnxExportError(f"{path}: on the test split {error}") from None
        decided, again = task.decisions(expected), task.decisions(actual)
        if decided is not None and again is not None:
            different += int(torch.ne(decided, again).sum())
        return actual

    return Agreement(task.evaluate(compared, batches), different, largest)


def child_costs(child: nn.Module, example: InputExample, progress: Progress) -> dict[str, float]:
    """Count the child's parameters, multiply-accumulates and memory access for one input.

    A child with an operation that cannot be counted is still a child: ``progress`` is told, nothing is returned.
    """
    try:
        return dict(count_child(child, example.batch()))
    except (SnasError, RuntimeError, IndexError) as error:
        progress.say(f"the child's costs were not counted: {error}")
        return {}
