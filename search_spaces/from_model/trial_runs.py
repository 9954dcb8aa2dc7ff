"""Runs narrow children of a model, and drops choices that its own code does not allow.

A forward may have numbers of channels written into it, or ask a block for an attribute. What a pass on the given sizes
cannot tell, a pass on others does.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from nni.nas.space import model_context
from torch import Tensor, nn

from .choices import KEEP, Choices
from .replacing import put_choices
from .rules import tensors_in
from .running import as_it_was, twice
from .tracing import TracedModel

__all__ = ["drop_what_fails"]


def drop_what_fails(model: nn.Module, traced: TracedModel, choices: Choices, args: tuple[Any, ...]) -> None:
    """Take labels out of ``choices`` whose smallest value the model refuses, with its words as the reason.

    Raises:
        ValueError: each choice works alone, and all together do not.
    """
    trials = _Trials(model, traced, choices, args)
    if trials.problem(list(choices.values)) is None:
        return
    for label in list(choices.values):
        if (problem := trials.problem([label])) is not None:
            _drop(traced, choices, label, f"is refused in another size: {problem}")
    if choices.values and (problem := trials.problem(list(choices.values))) is not None:
        raise ValueError(
            f"{type(model).__name__} cannot be cut: each choice works alone, all together do not ({problem}). "
            "Name modules to keep with keep=[...]"
        )


class _Trials:
    def __init__(self, model: nn.Module, traced: TracedModel, choices: Choices, args: tuple[Any, ...]) -> None:
        self.model = model
        self.traced = traced
        self.choices = choices
        self.device = torch.device("meta")
        self.expected: list[tuple[bool, tuple[Any, ...], Any]] = []
        try:
            self.expected.append((False, args, self._shapes(self._copy(), False, args)))
        except Exception:  # a forward that reads values cannot run without them
            self.device = next(iter(model.parameters())).device
            self.expected.append((False, args, self._shapes(self._copy(), False, args)))
        for given in (args, twice(args)):
            with contextlib.suppress(Exception):  # some networks cannot be trained on the example
                self.expected.append((True, given, self._shapes(self._copy(), True, given)))
                break

    def problem(self, labels: Sequence[str]) -> str | None:
        """Why the model does not run with the smallest value of these labels and the first of all others.

        Blocks among them are tried as they are in a supernet, with narrow layers inside, and left out.
        """
        values = self.choices.values
        blocks = [label for label in labels if label in self.choices.blocks]
        smallest = {label: its[-1 if label in labels and label not in blocks else 0] for label, its in values.items()}
        for sample in (smallest, smallest | {label: values[label][-1] for label in blocks}):
            child = self._changed(sample, blocks)
            for training, given, expected in self.expected:
                try:
                    shapes = self._shapes(child, training, given)
                except Exception as error:  # whatever the model's own code raises
                    return f"{type(error).__name__}: {_first_line(error)}"
                if shapes != expected:
                    return f"its output is {shapes}, not {expected}"
            if not blocks:
                break
        return None

    def _changed(self, sample: dict[str, Any], blocks: Sequence[str]) -> nn.Module:
        child = self._copy()
        order = {i: torch.arange(self.traced.groups[i].size, device="cpu") for i in self.choices.label_of}
        with model_context(sample):
            put_choices(child, self.traced, self.choices, order)
        for label in blocks:
            if sample[label] == KEEP:
                parent, _, name = self.choices.blocks[label].rpartition(".")
                holder = child.get_submodule(parent)
                setattr(holder, name, _Opaque(holder.get_submodule(name)))
        return child

    def _copy(self) -> nn.Module:
        with _on(self.device):
            return copy.deepcopy(self.model).to(self.device)

    def _shapes(self, model: nn.Module, training: bool, given: tuple[Any, ...]) -> Any:
        args = [a.to(self.device) if isinstance(a, Tensor) else a for a in given]
        with as_it_was(model), _on(self.device):
            return [tuple(tensor.shape) for tensor in tensors_in(model.train(training)(*args))]


class _Opaque(nn.Module):
    """A block behind a choice: its attributes are out of reach."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Any:
        return self.block(x)


def _drop(traced: TracedModel, choices: Choices, label: str, reason: str) -> None:
    del choices.values[label]
    for index in [index for index, its in choices.label_of.items() if its == label]:
        del choices.label_of[index]
        traced.groups[index].fixed = reason
        choices.fixed.update(dict.fromkeys(traced.groups[index].makers, reason))
    for by_label in (choices.blocks, choices.kernels):
        if label in by_label:
            choices.fixed.setdefault(by_label.pop(label), reason)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.device("meta") if device.type == "meta" else nullcontext()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no message"
