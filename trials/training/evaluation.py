"""How often a classifier is right, with how sure one can be of that number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn import functional

from exports import InputExample, OnnxExportError
from exports.onnx_files.runtime_check import relative_difference
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources import count_child
from trials.progress import Progress
from trials.training.number_types import suited

__all__ = [
    "Agreement",
    "Evaluation",
    "Proportion",
    "agreement",
    "child_accuracies",
    "child_costs",
    "evaluate",
    "find_device",
    "onnx_predictor",
    "torch_predictor",
]

Predictor = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Proportion:
    """How many of how many.

    Attributes:
        right: right answers, in ``[0, count]``.
        count: examples, at least 1.
    """

    right: int
    count: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.right / self.count

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % confidence interval, inside [0, 1]; it holds near 0 and 1 too."""
        interval = binomtest(self.right, self.count).proportion_ci(0.95, method="wilson")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.2%} (95 % interval {low:.2%} to {high:.2%}, {self.right} of {self.count})"


@dataclass(frozen=True)
class Evaluation:
    """A classifier on one split.

    Attributes:
        top1: the largest logit is that of the right class.
        top5: the right class is among the five largest; None for five classes or fewer.
        loss: mean cross-entropy, in nats.
    """

    top1: Proportion
    top5: Proportion | None
    loss: float

    def as_document(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        document: dict[str, Any] = {"loss": self.loss}
        for name, share in (("top1", self.top1), ("top5", self.top5)):
            if share is not None:
                document[name] = {**vars(share), "share": share.value, "interval95": list(share.interval())}
        return document


def evaluate(predict: Predictor, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    """Evaluate a classifier on all batches.

    Args:
        predict: maps inputs to logits ``(B, classes)``, on the CPU.
        batches: pairs of inputs and labels, ``(B, *input_shape)`` and ``(B,)``; at least one.
    """
    right = among_five = count = classes = 0
    loss = 0.0
    for inputs, labels in batches:
        logits = predict(inputs).float()
        classes = logits.shape[1]
        right += int((logits.argmax(dim=1) == labels).sum())
        among_five += int((logits.topk(min(5, classes)).indices == labels[:, None]).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        count += len(labels)
    return Evaluation(Proportion(right, count), Proportion(among_five, count) if classes > 5 else None, loss / count)


def child_accuracies(
    child: nn.Module, batches: Mapping[str, Iterable[tuple[Tensor, Tensor]]], device: torch.device
) -> dict[str, float]:
    """Return ``SPLIT_accuracy`` and ``SPLIT_loss`` of a child for the batches of each split, by its name."""
    metrics: dict[str, float] = {}
    for name, split in batches.items():
        found = evaluate(torch_predictor(child, device), split)
        metrics |= {f"{name}_accuracy": found.top1.value, f"{name}_loss": found.loss}
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
        logits: Tensor = output[0] if isinstance(output, tuple) else output  # without an auxiliary head's
        return logits.cpu()

    return predict


def onnx_predictor(path: Path) -> Predictor:
    """Return what an ONNX file of one input and one output predicts, in ONNX Runtime on the CPU.

    Raises:
        SnasError: ONNX Runtime cannot load the file, or (when called) cannot run it.
    """
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
            (logits,) = session.run(None, {name: inputs.numpy()})
        except Exception as error:
            raise SnasError(f"{path}: ONNX Runtime cannot run it: {error}") from error
        return torch.from_numpy(logits)

    return predict


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


def child_costs(child: nn.Module, example: InputExample, progress: Progress) -> dict[str, float]:
    """Count the child's parameters, multiply-accumulates and memory access for one input.

    A child with an operation that cannot be counted is still a child: ``progress`` is told, nothing is returned.
    """
    try:
        return dict(count_child(child, example.batch()))
    except (SnasError, RuntimeError, IndexError) as error:
        progress.say(f"the child's costs were not counted: {error}")
        return {}
