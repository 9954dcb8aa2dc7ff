"""From what a user has to what a network answers, with its ONNX file alone: no code of the space, no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from exports.example_input import InputExample
from exports.onnx_files.description import Description, described_by_summary, read_description
from exports.run_folder import MAX_BYTES
from snas_nni.errors import SettingError, SnasError
from snas_nni.files import parse_json, read_bounded, readable, reason_of

__all__ = ["Answer", "Predictor", "open_predictor"]

Array = np.ndarray[Any, Any]
BATCH = 64


@dataclass(frozen=True)
class Answer:
    """What a network says of one input.

    Attributes:
        values: the outputs as they are, shape of one output without the batch.
        class_names: in the order of the outputs; empty where the outputs are no classes.
    """

    values: Array
    class_names: tuple[str, ...] = ()

    @property
    def probabilities(self) -> Array:
        """Of the classes, shape ``(classes,)``, by softmax in 64 bits; they sum to 1."""
        powers = np.exp(self.values.astype(np.float64) - float(self.values.max()))
        shares: Array = powers / powers.sum()
        return shares

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return names and probabilities of the most probable classes, the first one first."""
        shares = self.probabilities
        best = np.argsort(-shares, kind="stable")[:count]
        return [(self.class_names[index], float(shares[index])) for index in best.tolist()]


class Predictor:
    """A network in ONNX Runtime on the CPU, with what its file says about its use.

    Args:
        session: of the file; one input, one output.
        description: what the file says.
        where: the file, for messages.
    """

    def __init__(self, session: Any, description: Description, where: str) -> None:
        self.description = description
        self._session = session
        self._where = where

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one input before its preparation."""
        described = self.description
        if described.preparation is None or described.in_graph:
            return described.example.shape
        return (described.example.shape[0], *described.preparation.size)

    def __call__(self, values: Array, prepared: bool = False) -> list[Answer]:
        """Ask the network.

        Args:
            values: one input, of shape :attr:`raw_shape`, or a batch of them. Images of 8 bits are uint8; other numbers
                are as the training data had them before they were normalized.
            prepared: whether they are what the network itself takes, normalized already.

        Raises:
            SettingError: shape, number type or range are not those of the network.
            SnasError: ONNX Runtime cannot run the file.
        """
        described = self.description
        shape = described.example.shape if prepared else self.raw_shape
        if values.dtype.kind not in "biuf":
            raise SettingError(f"inputs must be numbers, not {values.dtype}")
        if values.shape == shape:
            values = values[None]
        if values.shape[1:] != shape or not len(values):
            raise SettingError(
                f"inputs have the shape {values.shape}; {self._where} takes {shape}, or a batch of them: "
                f"(N, {', '.join(map(str, shape))})"
            )
        found: list[Answer] = []
        for start in range(0, len(values), BATCH):
            batch = values[start : start + BATCH]
            if described.preparation is not None and not described.in_graph and not prepared:
                batch = described.preparation(batch)
            found += self._answers(as_type(batch, described.example, self._where))
        return found

    def _answers(self, batch: Array) -> list[Answer]:
        try:
            outputs = self._session.run(None, {self._session.get_inputs()[0].name: batch})[0]
        except Exception as error:
            raise SnasError(f"{self._where}: ONNX Runtime cannot run it: {readable(str(error), 400)}") from error
        names = self.description.class_names
        if outputs.shape[1:] != (len(names),):
            names = ()  # the outputs are no classes
        return [Answer(row, names) for row in outputs]


def as_type(batch: Array, example: InputExample, where: str) -> Array:
    """Return inputs in the network's number type.

    Raises:
        SettingError: they are no whole numbers, or beyond the range, where the network takes whole numbers only.
    """
    if example.is_whole:
        if batch.dtype.kind == "f" and not np.array_equal(batch, np.round(batch)):
            raise SettingError(f"inputs have fractions; {where} takes whole numbers ({example.dtype})")
        low, high = float(batch.min()), float(batch.max())
        if example.low is not None and example.high is not None and not example.low <= low <= high <= example.high:
            raise SettingError(f"inputs are {low:g} to {high:g}; {where} takes {example.low:g} to {example.high:g}")
    if batch.dtype.kind == "f" and not np.isfinite(batch).all():
        raise SettingError("inputs must be finite; some are NaN or infinite")
    return batch.astype(np.float32 if example.dtype == "bfloat16" else example.dtype)


def open_predictor(path: str | Path) -> Predictor:
    """Open an ONNX file, or the ``model.onnx`` of a run's folder, to ask it about arrays.

    No code of the space is needed. A file that says nothing about its use, as those of earlier versions, gets that
    from the summary.json beside it.

    Raises:
        SettingError: it is not there, cannot be loaded, or nothing says what its input is.
    """
    path = Path(path)
    file = path / "model.onnx" if path.is_dir() else path
    if not file.is_file():
        hint = "; write it with snas-nni export" if (file.parent / "architecture.json").is_file() else ""
        raise SettingError(f"there is no {str(file if path.is_dir() else path)!r}{hint}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it prints errors that it raises as well
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        properties = session.get_modelmeta().custom_metadata_map
    except Exception as error:
        raise SettingError(f"{file}: ONNX Runtime cannot load it: {readable(str(error), 300)}") from error
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise SettingError(f"{file}: has {len(session.get_inputs())} inputs and {len(session.get_outputs())} outputs")
    description = read_description(properties, str(file)) or _of_summary(file)
    if description is None:
        raise SettingError(f"{file}: does not say what its input is; write it again with snas-nni export")
    return Predictor(session, description, str(file))


def _of_summary(file: Path) -> Description | None:
    path = file.with_name("summary.json")
    if not path.is_file():
        return None
    try:
        document = parse_json(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read: {reason_of(error, 200)}") from error
    if not isinstance(document, dict) or not ("input" in document or "input_shape" in document):
        return None
    given = document.get("input", {"shape": document.get("input_shape")})
    return described_by_summary(document, InputExample.from_document(given, f"{path}: input"), str(path))
