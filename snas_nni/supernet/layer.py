"""``LayerChoice`` in the supernet."""

from __future__ import annotations

from typing import Any

from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.resources.operations import Convention
from snas_nni.supernet.weighting import negligible, same_shape, weighted_sum

__all__ = ["MixedLayer"]


class MixedLayer(LayerChoice, BaseSuperNetModule):
    """Runs sum_k Z^k O^k(x), O^k being the candidates (paper, section 2.1).

    Accepts whatever arguments the candidates accept. Candidates whose share is negligible do not run.
    """

    def __init__(self, candidates: dict[str, nn.Module] | list[nn.Module], reader: ChoiceReader) -> None:
        super().__init__(candidates, label=reader.choice.label)
        self.reader = reader

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weighted sum of the candidates' outputs."""
        if self.reader.trace is not None:
            return self._traced(self.reader.trace, *args, **kwargs)
        runs = self._running()
        if self.reader.sample.is_fixed:
            return self[self.names[runs[0]]](*args, **kwargs)
        outputs = [self[self.names[index]](*args, **kwargs) for index in runs]
        weights = self.reader.weights().unbind()
        return weighted_sum(
            outputs, [weights[index] for index in runs], lambda: self._describe([self.names[i] for i in runs])
        )

    def _running(self) -> list[int]:
        """Indices of the candidates that run.

        A zero operation (a module with ``is_zero``) adds nothing to the output, and its dL/dZ is exactly 0, so it
        runs only where nothing else does and gives the shape.
        """
        skip = negligible(self.reader.numbers(), self.reader.negligible_share())
        runs = [index for index, skipped in enumerate(skip) if not skipped]
        working = [index for index in runs if not getattr(self[self.names[index]], "is_zero", False)]
        return working or runs[:1]

    def _traced(self, trace: Trace, *args: Any, **kwargs: Any) -> Any:
        outputs = []
        for condition, candidate in self.branches():
            with trace.when(condition, self.owner):
                outputs.append(candidate(*args, **kwargs))
        return same_shape(outputs, self.names, f"label '{self.reader.choice.label}' (LayerChoice)")

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The candidates, each with the condition that makes it part of the child."""
        label = self.reader.choice.label
        return [(Polynomial.entry(label, index), self[name]) for index, name in enumerate(self.names)]

    @property
    def owner(self) -> Owner:
        """Label and layer of the choice."""
        return self.reader.owner

    def own_parameters(self, convention: Convention) -> None:
        """None: what it costs is in its candidates."""

    def _describe(self, names: list[Any]) -> str:
        return f"label '{self.reader.choice.label}' (LayerChoice, candidates {', '.join(map(str, names))})"

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``LayerChoice``."""
        if type(module) is LayerChoice:
            candidates: Any = module.candidates
            return cls(candidates, mutate_kwargs["distribution"].bind(module.label))
        return None
