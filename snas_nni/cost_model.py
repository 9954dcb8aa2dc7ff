"""C(Z): what a child costs, as a multilinear form of Z (paper, section 2.4), and its value for tensors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.errors import SettingError

__all__ = ["CostModel"]


class CostModel:
    """The costs of every child of a space.

    Args:
        choices: the choice behind each label.
        parts: each cost as polynomials in Z, by the choice (label and layer) that decides about that part; None
            for what every child has. ``latency_ms`` may be among the costs.
        peaks: for each operation when the child runs it, and the elements of its inputs and its output; the largest
            does not add up, so it is reported and bounded, and not penalised.
        reached: above 0 exactly where a child has the choice of a label at all, for labels that are known to be nested
            in another choice; a block of a ``Repeat`` beyond the depth has none.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice],
        parts: Mapping[str, Mapping[Owner, Polynomial]],
        peaks: Sequence[tuple[Polynomial, Polynomial]] = (),
        reached: Mapping[str, Polynomial] | None = None,
    ) -> None:
        self.choices = dict(choices)
        self.parts = {name: dict(by_owner) for name, by_owner in parts.items()}
        self.polynomials = {name: Polynomial.sum(by_owner.values()) for name, by_owner in self.parts.items()}
        self.peaks = list(peaks)
        self.reached = dict(reached or {})
        self._forms: dict[tuple[str, Owner | str, torch.device, torch.dtype], list[tuple[Tensor, Tensor]]] = {}
        self._offsets: dict[str, int] = {}
        offset = 0
        for label, choice in self.choices.items():
            self._offsets[label] = offset
            offset += len(choice.candidates)

    def with_costs(self, parts: Mapping[str, Mapping[Owner, Polynomial]]) -> CostModel:
        """This model with further costs, by name, as polynomials by the choice that decides."""
        return CostModel(self.choices, {**self.parts, **parts}, self.peaks, self.reached)

    @property
    def names(self) -> list[str]:
        """Names of the costs that :meth:`cost` knows."""
        return list(self.polynomials)

    def cost(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        """C at given weights of the candidates, differentiable.

        At probabilities it is the exact expectation (labels are independent and the form is multilinear), at a
        one-hot Z the cost of that child, at a relaxed Z the relaxed cost.

        Args:
            name: which cost.
            weights: by label, shape ``(K,)``.

        Raises:
            SettingError: no such cost.
        """
        self.check(name)
        return self._evaluate(name, "all", torch.cat([weights[label] for label in self.choices]))

    def cost_by_choice(self, name: str, weights: Mapping[str, Tensor]) -> dict[tuple[str, int], Tensor]:
        """The part of C that each choice decides about, by label and layer; scalars, differentiable."""
        self.check(name)
        flat = torch.cat([weights[label] for label in self.choices])
        return {owner: self._evaluate(name, owner, flat) for owner in self.parts[name] if owner is not None}

    def _evaluate(self, name: str, owner: Owner | str, flat: Tensor) -> Tensor:
        total = flat.new_zeros(())
        for indices, values in self._form(name, owner, flat):
            total = total + (flat[indices].prod(dim=-1) * values).sum()
        return total

    def expected(self, name: str, distribution: ArchitectureDistribution) -> Tensor:
        """Exact expectation of a cost under the distribution, differentiable."""
        return self.cost(name, {label: distribution.expected_weights(label) for label in self.choices})

    def of(self, sample: Mapping[str, Any], names: Collection[str] | None = None) -> dict[str, float]:
        """Costs of the child of an NNI sample.

        Args:
            sample: by label.
            names: of the costs; None for all, and the ``activation_peak`` in elements if it was counted. In a space of
                hundreds of labels, one cost of a child is much less work than all of them.
        """
        chosen = self.indices(sample)
        wanted = self.polynomials if names is None else [name for name in self.polynomials if name in names]
        costs = {name: self.polynomials[name].value(chosen) for name in wanted}
        if self.peaks and (names is None or "activation_peak" in names):
            costs["activation_peak"] = max(
                size.value(chosen) if condition.value(chosen) else 0.0 for condition, size in self.peaks
            )
        return costs

    def indices(self, sample: Mapping[str, Any]) -> dict[str, int]:
        """Candidate index of each label that chooses exactly one; the others have no cost."""
        return {
            label: choice.categories(sample[label])[0]
            for label, choice in self.choices.items()
            if len(choice.logits_shape) == 1 and choice.logits_shape == (len(choice.candidates),)
        }

    def candidate_costs(self, label: str) -> list[dict[str, float]]:
        """Cost of each candidate of a label, over all layers that share it.

        Where that needs choices of other labels too (nested choices, widths), the mean over these, each uniform.
        """
        totals: list[dict[str, float]] = [dict.fromkeys(self.polynomials, 0.0) for _ in self.choices[label].candidates]
        for name, polynomial in self.polynomials.items():
            for term, value in polynomial.terms.items():
                others = [len(self.choices[other].candidates) for other, _ in term if other != label]
                for _, index in (entry for entry in term if entry[0] == label):
                    totals[index][name] += value / math.prod(others)
        return totals

    def check(self, name: str) -> None:
        """Raise SettingError if ``name`` is not a cost that adds up."""
        if name == "activation_peak":
            raise SettingError(
                "activation_peak is a maximum, not a sum over the parts of a network, so it has no expectation to "
                "penalise. Use memory_access."
            )
        if name not in self.polynomials:
            raise SettingError(f"there is no cost '{name}'; there are {', '.join(self.names)}.")

    def _form(self, name: str, owner: Owner | str, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        key = (name, owner, like.device, like.dtype)
        if key not in self._forms:
            by_degree: dict[int, tuple[list[list[int]], list[float]]] = {}
            polynomial = self.polynomials[name] if isinstance(owner, str) else self.parts[name][owner]
            for term, value in polynomial.terms.items():
                indices, values = by_degree.setdefault(len(term), ([], []))
                indices.append([self._offsets[label] + index for label, index in term])
                values.append(value)
            self._forms[key] = [
                (
                    torch.tensor(indices, dtype=torch.long, device=like.device).reshape(len(values), degree),
                    torch.tensor(values, dtype=like.dtype, device=like.device),
                )
                for degree, (indices, values) in by_degree.items()
            ]
        return self._forms[key]
