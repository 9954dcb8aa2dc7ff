"""C(Z): what a child costs, as a multilinear form of Z (paper, section 2.4), and its value for tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.errors import SettingError
from snas_nni.resources.counting import Count, count_operations, lacking, owner_of, resolved
from snas_nni.resources.dependence import operation_polynomials
from snas_nni.resources.operations import Convention
from snas_nni.resources.parameters import parameter_polynomials

__all__ = ["COSTS", "CostModel", "count_child", "count_supernet"]

COSTS = ("params", "macs", "memory_access")
"""Costs that add up over the parts of a child: parameters, multiply-accumulates, elements read plus written."""


class CostModel:
    """The costs of every child of a space.

    Args:
        choices: the choice behind each label.
        parts: each cost as polynomials in Z, by the choice (label and layer) that decides about that part; None
            for what every child has. ``latency_ms`` may be among the costs.
        peaks: for each operation when the child runs it, and the elements of its inputs and its output; the largest
            does not add up, so it is reported and bounded, and not penalised.
        unread_params: parameters of the supernet that a child behind cells with loose ends lacks, as ``parts``.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice],
        parts: Mapping[str, Mapping[Owner, Polynomial]],
        peaks: Sequence[tuple[Polynomial, Polynomial]] = (),
        unread_params: Mapping[Owner, Polynomial] | None = None,
    ) -> None:
        self.choices = dict(choices)
        self.parts = {name: dict(by_owner) for name, by_owner in parts.items()}
        self.polynomials = {name: Polynomial.sum(by_owner.values()) for name, by_owner in self.parts.items()}
        self.peaks = list(peaks)
        self.unread_params = dict(unread_params or {})
        self._forms: dict[tuple[str, Owner | str, torch.device, torch.dtype], list[tuple[Tensor, Tensor]]] = {}
        self._offsets: dict[str, int] = {}
        offset = 0
        for label, choice in self.choices.items():
            self._offsets[label] = offset
            offset += len(choice.candidates)

    def with_costs(self, parts: Mapping[str, Mapping[Owner, Polynomial]]) -> CostModel:
        """This model with further costs, by name, as polynomials by the choice that decides."""
        return CostModel(self.choices, {**self.parts, **parts}, self.peaks, self.unread_params)

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

    def of(self, sample: Mapping[str, Any]) -> dict[str, float]:
        """All costs of the child of an NNI sample, and its ``activation_peak`` in elements if it was counted."""
        chosen = self.indices(sample)
        costs = {name: polynomial.value(chosen) for name, polynomial in self.polynomials.items()}
        if self.peaks:
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


def count_supernet(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    inputs: Tensor | tuple[Any, ...],
    convention: Convention | None = None,
) -> CostModel:
    """Count every candidate of a supernet, in any space, by running it on a sample input.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        inputs: a sample input, or the tuple of arguments of ``forward``. Costs are for this batch, so give one
            with a single image.
        convention: what counts; everything by default, :meth:`Convention.paper` for the paper's.

    Raises:
        SnasError: operations that cannot be counted, by name.
        UnsupportedSpaceError: candidates of unequal shapes, by label.
    """
    convention = convention or Convention()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    _, trace = count_operations(supernet, arguments, distribution=distribution, convention=convention)

    def run(values: Mapping[str, int]) -> Count:
        return count_operations(supernet, arguments, distribution=distribution, values=values, convention=convention)[0]

    lacks = trace.left_out
    choices = {**distribution.choices, **lacking(lacks)}
    operations = [
        (owner_of(owner, lacks), condition, {name: resolved(size, lacks) for name, size in sizes.items()})
        for owner, condition, sizes in operation_polynomials(
            run, sorted({*trace.slicing_labels, *lacks}), choices, lacks
        )
    ]

    def summed(name: str) -> dict[Owner, list[Polynomial]]:
        by_owner: dict[Owner, list[Polynomial]] = defaultdict(list)
        for owner, condition, sizes in operations:
            by_owner[owner].append(condition * sizes[name])
        return by_owner

    unread = summed("unread_params")
    params = {owner: [part * -1.0 for part in by_owner] for owner, by_owner in unread.items()}
    for owner, polynomial in parameter_polynomials(supernet, convention).items():
        params.setdefault(owner, []).append(polynomial)
    by_name = {"params": params, "macs": summed("macs"), "memory_access": summed("memory_access")}
    parts = {
        name: {owner: total for owner, p in by_owner.items() if (total := Polynomial.sum(p)).terms or owner is None}
        for name, by_owner in by_name.items()
    }
    peaks = [(condition, sizes["activation_peak"]) for _, condition, sizes in operations]
    lost = {owner: total for owner, p in unread.items() if (total := Polynomial.sum(p)).terms}
    return CostModel(distribution.choices, parts, peaks, lost)


def count_child(
    child: nn.Module, inputs: Tensor | tuple[Any, ...], convention: Convention | None = None
) -> dict[str, float]:
    """Count a plain network by the same rules, from the network alone.

    Args:
        child: a module without choices.
        inputs: a sample input with a single image, or the tuple of arguments of ``forward``.
        convention: what counts.

    Returns:
        ``params``, ``macs``, ``memory_access`` and ``activation_peak`` (elements).
    """
    convention = convention or Convention()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    count, _ = count_operations(child, arguments, convention=convention)
    return {
        "params": Polynomial.sum(parameter_polynomials(child, convention).values()).terms.get((), 0.0),
        "macs": math.fsum(count.costs["macs"]),
        "memory_access": math.fsum(count.costs["memory_access"]),
        "activation_peak": max(count.costs["activation_peak"], default=0.0),
    }
