"""``LayerChoice`` in the supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nni.nas.nn.pytorch import LayerChoice
from torch import Tensor, nn

from snas_nni.cpu_kernels.shared_layers import run_shared
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.nni_compat import BaseSuperNetModule
from snas_nni.supernet.auxiliary import with_skip
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.weighting import same_shape

__all__ = ["MixedLayer"]


class MixedLayer(SampledModule, LayerChoice, BaseSuperNetModule):
    """Runs sum_k Z^k O^k(x), O^k being the candidates (paper, section 2.1).

    Accepts whatever arguments the candidates accept. Candidates whose share is negligible do not run.
    """

    def __init__(self, candidates: dict[str, nn.Module] | list[nn.Module], reader: ChoiceReader) -> None:
        super().__init__(candidates, label=reader.choice.label)
        self.readers = {reader.choice.label: reader}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weighted sum of the candidates' outputs."""
        if self.reader.trace is not None:
            return same_shape(self.run_all_traced(*args, **kwargs), self.names, self.where())
        # A child's candidate returns to the space's own code, which may change what it got in place.
        shares = not self.reader.sample.is_fixed

        def run(index: int) -> Any:
            candidate = self[self.names[index]]
            return run_shared(candidate, *args, **kwargs) if shares else candidate(*args, **kwargs)

        summed = self.run_weighted(self.reader.numbers(), run, self._weights, self._where_among)
        return with_skip(summed, args[0] if args else None, self.reader.current)

    def indices_to_run(self, numbers: Sequence[float]) -> list[int]:
        """Indices of the candidates that run.

        A zero operation (a module with ``is_zero``) adds nothing to the output, and its dL/dZ is exactly 0, so it
        runs only where nothing else does and gives the shape.
        """
        runs = super().indices_to_run(numbers)
        working = [index for index in runs if not getattr(self[self.names[index]], "is_zero", False)]
        return working or runs[:1]

    def _weights(self, indices: Sequence[int]) -> list[Tensor]:
        weights = self.reader.weights().unbind()
        return [weights[index] for index in indices]

    def _where_among(self, indices: Sequence[int]) -> str:
        names = ", ".join(str(self.names[index]) for index in indices)
        return f"label '{self.reader.choice.label}' (LayerChoice, candidates {names})"

    def where(self) -> str:
        """Names the choice in messages."""
        return f"label '{self.reader.choice.label}' (LayerChoice)"

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The candidates, each with the condition that makes it part of the child."""
        label = self.reader.choice.label
        return [(Polynomial.entry(label, index), self[name]) for index, name in enumerate(self.names)]

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The chosen candidate."""
        choice = self.reader.choice
        chosen = choice.categories(sample[choice.label])[0]
        return Counterpart(self[choice.candidates[chosen]])

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``LayerChoice``."""
        if type(module) is LayerChoice:
            candidates: Any = module.candidates
            return cls(candidates, mutate_kwargs["distribution"].bind(module.label))
        return None
