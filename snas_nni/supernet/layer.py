"""``LayerChoice`` in the supernet."""

from __future__ import annotations

from typing import Any

from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from snas_nni.sample import ChoiceReader
from snas_nni.supernet.weighting import negligible, weighted_sum

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
        skip = negligible(self.reader.numbers(), self.reader.negligible_share())
        runs = [index for index, skipped in enumerate(skip) if not skipped]
        if self.reader.sample.is_one_hot:
            return self[self.names[runs[0]]](*args, **kwargs)
        outputs = [self[self.names[index]](*args, **kwargs) for index in runs]
        weights = self.reader.weights().unbind()
        return weighted_sum(
            outputs, [weights[index] for index in runs], lambda: self._describe([self.names[i] for i in runs])
        )

    def _describe(self, names: list[Any]) -> str:
        return f"label '{self.reader.choice.label}' (LayerChoice, candidates {', '.join(map(str, names))})"

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``LayerChoice``."""
        if type(module) is LayerChoice:
            return cls(module.candidates, mutate_kwargs["distribution"].bind(module.label))
        return None
