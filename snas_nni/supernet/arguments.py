"""Parametrised modules with choices that no slicing can share: one module for each combination of values."""

from __future__ import annotations

import itertools
import math
from typing import Any

from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.resources.operations import Convention
from snas_nni.supernet.operation import mutable_arguments
from snas_nni.supernet.weighting import negligible, same_shape, weighted_sum

__all__ = ["MixedArguments"]

MAX_COMBINATIONS = 64


class MixedArguments(BaseSuperNetModule):
    """Runs sum over combinations of values of (product of their weights) * module built with those values."""

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
        readers = list(self.readers.values())
        if readers[0].trace is not None:
            return self._traced(readers[0].trace, *args, **kwargs)
        numbers = [
            math.prod(reader.numbers()[index] for reader, index in zip(readers, combination, strict=True))
            for combination in self.combinations
        ]
        skip = negligible(numbers, min(reader.negligible_share() for reader in readers))
        runs = [index for index, skipped in enumerate(skip) if not skipped]
        outputs = [self.candidates[index](*args, **kwargs) for index in runs]
        if len(runs) == 1 and readers[0].sample.is_fixed:
            return outputs[0]
        by_label = [reader.weights().unbind() for reader in readers]
        weights: list[Tensor] = [
            math.prod(by_label[i][k] for i, k in enumerate(self.combinations[index]))  # type: ignore[misc]
            for index in runs
        ]
        return weighted_sum(
            outputs, weights, lambda: f"label '{', '.join(self.readers)}' ({self.module_type} '{self.name}')"
        )

    def _traced(self, trace: Trace, *args: Any, **kwargs: Any) -> Any:
        outputs = []
        for condition, candidate in self.branches():
            with trace.when(condition, self.owner):
                outputs.append(candidate(*args, **kwargs))
        where = f"label '{', '.join(self.readers)}' ({self.module_type} '{self.name}')"
        return same_shape(outputs, [self._values(c) for c in self.combinations], where)

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The modules, each with the condition that makes it part of the child."""
        return [
            (self._condition(combination), candidate)
            for combination, candidate in zip(self.combinations, self.candidates, strict=True)
        ]

    def _condition(self, combination: tuple[int, ...]) -> Polynomial:
        condition = ONE
        for label, index in zip(self.readers, combination, strict=True):
            condition = condition * Polynomial.entry(label, index)
        return condition

    @property
    def owner(self) -> Owner:
        """Label and layer of the choice."""
        return next(iter(self.readers.values())).owner

    def own_parameters(self, convention: Convention) -> None:
        """None: what it costs is in its modules."""

    def chosen(self, sample: dict[str, Any]) -> nn.Module:
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
    return (module._bound_type or type(module))(*args, **kwargs)
