"""The one sample of a step, and how a module of the supernet reads its part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snas_nni.distribution.choices import Choice
from snas_nni.errors import SnasError

if TYPE_CHECKING:
    from snas_nni.distribution.trace import Trace

__all__ = ["ChoiceReader", "CurrentSample", "Sample"]


class Sample:
    """A (relaxed) Z for every label, drawn once and read by forward, penalty and telemetry alike.

    Attributes:
        choices: the choice behind each label.
        log_rows: log Z by label, each of shape ``(layers, rows, C)``. ``layers`` is 1 where all modules of the
            label share the sample, as in the paper.
        weights: the weight of each candidate by label, shape ``(layers, K)``.
        temperature: of the search when it was drawn.
        is_one_hot: whether every weight is exactly 0 or 1, so that the supernet is one of its children.

    Args:
        rows: Z itself; the exponential of ``log_rows`` if None.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice],
        log_rows: Mapping[str, Tensor],
        temperature: float,
        *,
        rows: Mapping[str, Tensor] | None = None,
        is_one_hot: bool = False,
    ) -> None:
        self.choices = choices
        self.log_rows = log_rows
        self.temperature = temperature
        self.is_one_hot = is_one_hot
        self.rows = {label: log_z.exp() for label, log_z in log_rows.items()} if rows is None else dict(rows)
        self.weights = {label: choices[label].weights(z) for label, z in self.rows.items()}
        self._numbers: dict[str, list[list[float]]] | None = None
        self._means: dict[str, Tensor] | None = None
        self._undecided: float | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether it is one-hot and nobody asks for a gradient at it: the supernet just runs that child."""
        return self.is_one_hot and not any(z.requires_grad for z in self.rows.values())

    def to(self, device: torch.device) -> Sample:
        """The same sample on a device: itself, if it is there."""
        if all(z.device == device for z in self.rows.values()):
            return self
        log_rows, rows = ({k: z.to(device) for k, z in each.items()} for each in (self.log_rows, self.rows))
        return Sample(self.choices, log_rows, self.temperature, rows=rows, is_one_hot=self.is_one_hot)

    def mean_weights(self) -> dict[str, Tensor]:
        """Weights of each label, shape ``(K,)``: the mean over layers where each layer has its own sample."""
        if self._means is None:
            self._means = {label: weights.mean(0) for label, weights in self.weights.items()}
        return self._means

    def numbers(self, label: str, layer: int = 0) -> list[float]:
        """Weights of a label as Python numbers, ``K`` of them; all labels come to the host in one transfer."""
        if self._numbers is None:
            flat = torch.cat([w.detach().reshape(-1) for w in self.weights.values()]).tolist()
            self._numbers, start = {}, 0
            for name, w in self.weights.items():
                layers, size = w.shape
                self._numbers[name] = [flat[start + i * size : start + (i + 1) * size] for i in range(layers)]
                start += layers * size
        layers_of_label = self._numbers[label]
        return layers_of_label[layer if layer < len(layers_of_label) else 0]

    def undecided(self) -> float:
        """Mean over labels of sum_k min(w^k, 1 - w^k) / 2, which is 1 - max Z for a nearly one-hot Z; in [0, K / 4]."""
        if self._undecided is None:
            self.numbers(next(iter(self.weights)))
            rows = [row for layers in (self._numbers or {}).values() for row in layers]
            self._undecided = sum(min(weight, 1 - weight) for row in rows for weight in row) / (2 * len(rows))
        return self._undecided

    def values(self) -> dict[str, Any]:
        """The NNI sample that this Z is nearest to: the largest entry of each row of the first layer."""
        return {
            label: self.choices[label].value(log_z[0].argmax(-1).tolist()) for label, log_z in self.log_rows.items()
        }


class CurrentSample:
    """Holds the sample that the supernet runs with at the moment.

    Shared by all modules of one supernet and by the distribution. Not a module, and never copied: a deep copy of a
    supernet reads the same sample, and no tensor of a graph is ever reached by ``copy.deepcopy``.

    Args:
        skip_tolerance: how much weight candidates may have that do not run, in [0, 1); see
            :meth:`ChoiceReader.negligible_share`.

    Attributes:
        auxiliary_skip: the factor with which each choice adds its input to its output; 0 for none.
        skips_added: how many choices did so since :meth:`adding_skips` began.
    """

    def __init__(self, skip_tolerance: float = 0.0) -> None:
        self.sample: Sample | None = None
        self.trace: Trace | None = None
        self.skip_tolerance = skip_tolerance
        self.marks_dropped_channels = False
        self.auxiliary_skip = 0.0
        self.skips_added = 0
        self._asked: set[str] | None = None
        self.drawn: Sample | None = None
        self.mode: Callable[[], Sample] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> CurrentSample:
        return self

    def outside(self) -> Sample | None:
        """The sample of a supernet that is run by itself: the last one that was asked for, else the mode."""
        return self.drawn if self.drawn is not None or self.mode is None else self.mode()

    @contextmanager
    def use(self, sample: Sample) -> Iterator[Sample]:
        """Run the supernet with ``sample`` inside the ``with`` block."""
        before, self.sample = self.sample, sample
        try:
            yield sample
        finally:
            self.sample = before

    @contextmanager
    def noting_labels(self) -> Iterator[set[str]]:
        """Give the labels that modules ask about inside the ``with`` block: of a child, those that it depends on."""
        before, self._asked = self._asked, set()
        try:
            yield self._asked
        finally:
            self._asked = before

    def note(self, label: str) -> None:
        """Say that a module asks about a label."""
        if self._asked is not None:
            self._asked.add(label)

    @contextmanager
    def tracing(self, trace: Trace | None) -> Iterator[None]:
        """Run every candidate once, inside the ``with`` block, and tell ``trace`` when each is part of the child."""
        before, self.trace = self.trace, trace
        try:
            yield
        finally:
            self.trace = before

    @contextmanager
    def adding_skips(self, factor: float) -> Iterator[None]:
        """Inside the ``with`` block, choices add ``factor`` times their input where it has their output's shape."""
        before, self.auxiliary_skip, self.skips_added = self.auxiliary_skip, factor, 0
        try:
            yield
        finally:
            self.auxiliary_skip = before

    @contextmanager
    def marking_dropped_channels(self) -> Iterator[None]:
        """Inside the ``with`` block, cells put NaN in place of the nodes that the child does not output."""
        self.marks_dropped_channels = True
        try:
            yield
        finally:
            self.marks_dropped_channels = False


class ChoiceReader:
    """One module's view of one label.

    Args:
        current: the holder of the running sample.
        choice: the label's choice.
        layer: which module of the label this is, from 0; matters only when each layer has its own sample.
    """

    def __init__(self, current: CurrentSample, choice: Choice, layer: int) -> None:
        self.current = current
        self.choice = choice
        self.layer = layer

    def __deepcopy__(self, memo: dict[int, Any]) -> ChoiceReader:
        return self

    @property
    def owner(self) -> tuple[str, int]:
        """Label and layer."""
        return self.choice.label, self.layer

    @property
    def trace(self) -> Trace | None:
        """The trace to tell, when the supernet runs to be counted or timed."""
        return self.current.trace

    @property
    def sample(self) -> Sample:
        """The running sample.

        Raises:
            SnasError: the reader belongs to no distribution and no sample was drawn; or the pass counts, and a module
                asks that cannot be counted.
        """
        if self.current.trace is not None:
            raise SnasError(
                f"label '{self.choice.label}': what its candidates cost cannot be counted, because the module that "
                "reads it comes with the space and runs all of them at once. Use this space without a penalty, a "
                "budget and cost_model(), or fix the value of the label."
            )
        self.current.note(self.choice.label)
        sample = self.current.sample if self.current.sample is not None else self.current.outside()
        if sample is None:
            raise SnasError(
                f"label '{self.choice.label}': the supernet was run without a sample. Draw one first: "
                "`with strategy.distribution.use(strategy.distribution.draw(temperature)): ...`, or "
                "`...use(strategy.distribution.mode_sample())` for the child."
            )
        return sample

    def weights(self) -> Tensor:
        """Weights of the candidates, shape ``(K,)``, with gradient to the logits."""
        weights = self.sample.weights[self.choice.label]
        return weights[self.layer if self.layer < len(weights) else 0]

    def rows(self) -> Tensor:
        """Z itself, shape ``(rows, C)``, with gradient to the logits."""
        rows = self.sample.rows[self.choice.label]
        return rows[self.layer if self.layer < len(rows) else 0]

    def numbers(self) -> list[float]:
        """Weights of the candidates as Python numbers."""
        return self.sample.numbers(self.choice.label, self.layer)

    def negligible_share(self) -> float:
        """How much weight may be left out in all; see :func:`snas_nni.supernet.weighting.negligible`."""
        tolerance = self.current.skip_tolerance
        return tolerance * min(self.sample.temperature, self.sample.undecided()) if tolerance else 0.0
