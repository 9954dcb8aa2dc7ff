"""Parametrised modules with choices that no slicing can share: one module for each combination of values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import ParametrizedModule
from torch import Tensor, nn

from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Trace
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.nni_compat import BaseSuperNetModule, plain_type
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.sliced.operation import mutable_arguments
from snas_nni.supernet.weighting import same_shape

__all__ = ["MixedArguments"]

MAX_COMBINATIONS = 64


class MixedArguments(SampledModule, BaseSuperNetModule):
    """Runs sum over combinations of values of (product of their weights) * module built with those values.

    Attributes:
        sized: labels that size a sliced layer too, so that only one of their values fits what this module is given.
    """

    sized: frozenset[str] = frozenset()

    def __init__(self, module: ParametrizedModule, readers: dict[str, ChoiceReader], name: str) -> None:
        super().__init__()
        self.readers = readers
        self.name = name
        self.module_type = type(module).__name__
        for expression in mutable_arguments(module).values():
            self.add_mutable(expression)
        self.combinations = list(itertools.product(*(range(len(r.choice.candidates)) for r in readers.values())))
        self.candidates = nn.ModuleList(_built(module, self._values(c)) for c in self.combinations)

    def _values(self, combination: tuple[int, ...]) -> dict[str, Any]:
        return {
            label: reader.choice.candidates[index]
            for (label, reader), index in zip(self.readers.items(), combination, strict=True)
        }

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weighted sum over the combinations."""
        if (trace := self.reader.trace) is not None:
            pairs = zip(self.combinations, self.candidates, strict=True)
            fitting = {combination: module for combination, module in pairs if self._fits(combination, trace)}
            outputs = [
                self.run_traced(self._condition(combination, self.sized), module, *args, **kwargs)
                for combination, module in fitting.items()
            ]
            return same_shape(outputs, [self._values(combination) for combination in fitting], self.where())
        readers = list(self.readers.values())
        numbers = [
            math.prod(reader.numbers()[index] for reader, index in zip(readers, combination, strict=True))
            for combination in self.combinations
        ]
        return self.run_weighted(numbers, lambda index: self.candidates[index](*args, **kwargs), self._weights)

    def _weights(self, indices: Sequence[int]) -> list[Tensor]:
        by_label = [reader.weights().unbind() for reader in self.readers.values()]
        return [
            math.prod(by_label[i][k] for i, k in enumerate(self.combinations[index]))  # type: ignore[misc]
            for index in indices
        ]

    def where(self) -> str:
        """Names the choices in messages."""
        return f"label '{', '.join(self.readers)}' ({self.module_type} '{self.name}')"

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The modules, each with the condition that makes it part of the child."""
        return [
            (self._condition(combination), candidate)
            for combination, candidate in zip(self.combinations, self.candidates, strict=True)
        ]

    def _condition(self, combination: tuple[int, ...], without: Collection[str] = ()) -> Polynomial:
        condition = ONE
        for label, index in zip(self.readers, combination, strict=True):
            if label not in without:
                condition = condition * Polynomial.entry(label, index)
        return condition

    def _fits(self, combination: tuple[int, ...], trace: Trace) -> bool:
        """Whether it has the sizes that a pass runs with."""
        indices = dict(zip(self.readers, combination, strict=True))
        return all(indices[label] == trace.value_index(label) for label in self.sized)

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The module of the chosen combination."""
        return Counterpart(self.chosen(sample))

    def chosen(self, sample: Mapping[str, Any]) -> nn.Module:
        """The module of the combination that ``sample`` chooses."""
        combination = tuple(reader.choice.candidates.index(sample[label]) for label, reader in self.readers.items())
        return self.candidates[self.combinations.index(combination)]

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the chosen module, its own choices frozen too."""
        from nni.nas.nn.pytorch.base import recursive_freeze

        return recursive_freeze(self.chosen(sample), sample)[0]

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace parametrised modules whose arguments hold choices.

        Raises:
            UnsupportedSpaceError: too many combinations.
        """
        if not isinstance(module, ParametrizedModule):
            return None
        choices = mutable_arguments(module)
        if not choices:
            return None
        labels = list(dict.fromkeys(label for e in choices.values() for label in e.simplify()))
        bind = mutate_kwargs["distribution"].bind
        readers = {label: bind(label) for label in labels}
        combinations = math.prod(len(reader.choice.candidates) for reader in readers.values())
        if combinations > MAX_COMBINATIONS:
            raise UnsupportedSpaceError(
                f"label '{', '.join(labels)}' ({type(module).__name__} '{name}'): {combinations} combinations of "
                f"arguments would each be a module of its own, more than {MAX_COMBINATIONS}. Choose among fewer."
            )
        return cls(module, readers, name)


def _built(module: ParametrizedModule, values: dict[str, Any]) -> nn.Module:
    def frozen(argument: Any) -> Any:
        return argument.freeze(values) if isinstance(argument, MutableExpression) else argument

    args = [frozen(argument) for argument in module.trace_args]
    kwargs = {name: frozen(argument) for name, argument in module.trace_kwargs.items()}
    return plain_type(type(module))(*args, **kwargs)
