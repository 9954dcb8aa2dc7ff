"""``InputChoice`` in the supernet: one of the inputs, so many of them, or any."""

from __future__ import annotations

from typing import Any

import torch
from nni.nas.nn.pytorch import InputChoice
from torch import Tensor, nn

from snas_nni.distribution.choices import AnyOf, SubsetOf
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.nni_compat import BaseSuperNetModule
from snas_nni.supernet.base import SampledModule
from snas_nni.supernet.frozen import NoInputs
from snas_nni.supernet.weighting import same_shape, weighted_sum

__all__ = ["MixedInput"]


class MixedInput(SampledModule, InputChoice, BaseSuperNetModule):
    """Runs the reduction of the inputs, each with its gate in [0, 1].

    ``sum`` is sum_i g_i x_i; ``mean`` divides by the number of chosen inputs, sum_i g_i, if that is at least 1.
    ``concat`` and ``none`` need a fixed number of chosen inputs: place t holds the expected t-th chosen input. A
    child that chose no input at all returns zeros.
    """

    def __init__(self, module: InputChoice, reader: ChoiceReader) -> None:
        super().__init__(module.n_candidates, n_chosen=module.n_chosen, reduction=module.reduction, label=module.label)
        self.readers = {reader.choice.label: reader}

    def forward(self, candidate_inputs: list[Tensor]) -> Any:
        """Return the reduction of a list of ``n_candidates`` inputs."""
        if len(candidate_inputs) != self.n_candidates:
            raise UnsupportedSpaceError(
                f"{self.where()}: got {len(candidate_inputs)} inputs, expected {self.n_candidates}."
            )
        if self.reader.trace is not None:
            return self._one_of_equal_shape(candidate_inputs)
        if self.reduction in ("sum", "mean"):
            gates = self.reader.weights()
            total = self._gated(candidate_inputs, gates)
            if self.reduction == "sum" or self.n_chosen == 1:
                return total
            count = gates.sum() if self.n_chosen is None else gates.new_tensor(float(self.n_chosen))
            # Below one, the sum itself: the mean then falls to the child's zeros as all gates close. Divided by a
            # number near zero it would stay an average of the inputs at any temperature.
            return total / count.clamp_min(1.0).to(total.dtype)
        places = [self._gated(candidate_inputs, gates) for gates in self._places()]
        return torch.cat(places, dim=1) if self.reduction == "concat" else places

    def _one_of_equal_shape(self, inputs: list[Tensor]) -> Any:
        # The inputs were computed whatever is chosen, and sums are free: only the shape matters.
        first = same_shape(inputs, range(self.n_candidates), self.where())
        if self.reduction in ("sum", "mean"):
            return first
        places = inputs[: self.n_chosen]
        return torch.cat(places, dim=1) if self.reduction == "concat" else places

    def _gated(self, inputs: list[Tensor], gates: Tensor) -> Any:
        runs = self.indices_to_run(self.reader.numbers()) if self.n_chosen == 1 else range(len(inputs))
        weights = gates.unbind()
        return weighted_sum([inputs[i] for i in runs], [weights[i] for i in runs], self.where)

    def _places(self) -> list[Tensor]:
        choice = self.reader.choice
        if not isinstance(choice, SubsetOf):
            return [self.reader.weights()]
        subsets = torch.tensor(choice.subsets)
        probabilities = self.reader.rows()[0]
        one_hot = nn.functional.one_hot(subsets, self.n_candidates).to(probabilities)
        return list((probabilities[:, None, None] * one_hot).sum(0).unbind())

    def where(self) -> str:
        """Names the choice in messages."""
        return f"label '{self.reader.choice.label}' (InputChoice of {self.n_candidates}, {self.reduction})"

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return NNI's ``ChosenInputs``, or :class:`~snas_nni.supernet.frozen.NoInputs` if none was chosen."""
        frozen = super().freeze(sample)
        return frozen if frozen.chosen else NoInputs()

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``InputChoice``.

        Raises:
            UnsupportedSpaceError: a reduction whose result has no fixed shape.
        """
        if type(module) is not InputChoice:
            return None
        reader = mutate_kwargs["distribution"].bind(module.label)
        if isinstance(reader.choice, AnyOf) and module.reduction in ("concat", "none"):
            raise UnsupportedSpaceError(
                f"label '{module.label}' (InputChoice '{name}'): reduction '{module.reduction}' of any number of "
                "inputs has no fixed shape. Use 'sum' or 'mean', or fix n_chosen."
            )
        return cls(module, reader)
