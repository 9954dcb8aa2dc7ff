"""Counts parameters: which are part of the child, under which condition."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from nni.nas.oneshot.pytorch.supermodule.operation import MixedOperation
from torch import nn

from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.resources.operations import Convention, is_normalization

__all__ = ["Conditional", "parameter_polynomials"]


@runtime_checkable
class Conditional(Protocol):
    """A module of the supernet, seen from what it costs."""

    def branches(self) -> Iterable[tuple[Polynomial, nn.Module]]:
        """The candidates, each with the condition that makes it part of the child."""
        ...

    @property
    def owner(self) -> Owner:
        """Label and layer of the choice."""
        ...

    def own_parameters(self, convention: Convention) -> Polynomial | None:
        """Parameters of the child's layer in its place where its weights are sliced; None: count its tensors."""
        ...


def parameter_polynomials(model: nn.Module, convention: Convention) -> dict[Owner, Polynomial]:
    """Size of the child's parameters (see ``Convention.size_of``) as polynomials in Z, by the choice that decides.

    Parameters that two places share count once, for the first of them.
    """
    sizes: dict[int, float] = {}
    owners: dict[int, Owner] = {}
    conditions: dict[int, list[Polynomial]] = defaultdict(list)
    total: dict[Owner, list[Polynomial]] = defaultdict(list)

    def visit(module: nn.Module, condition: Polynomial, owner: Owner) -> None:
        candidates: set[nn.Module] = set()
        if isinstance(module, Conditional):
            own = module.own_parameters(convention)
            if own is not None:
                total[module.owner].append(condition * own)
                return
            for branch_condition, candidate in module.branches():
                candidates.add(candidate)
                visit(candidate, condition * branch_condition, module.owner)
        elif isinstance(module, MixedOperation):
            own, decides = _sliced_by_its_space(module, convention)
            total[decides].append(condition * own)
            return
        if convention.normalization or not is_normalization(module):
            for parameter in module.parameters(recurse=False):
                sizes[id(parameter)] = convention.size_of(parameter)
                owners.setdefault(id(parameter), owner)
                conditions[id(parameter)].append(condition)
        for child in module.children():
            if child not in candidates:
                visit_container(child, condition, owner, candidates)

    def visit_container(module: nn.Module, condition: Polynomial, owner: Owner, candidates: set[nn.Module]) -> None:
        # Candidates may sit in a ModuleList of the module; the list itself is no module of the child.
        if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            for child in module.children():
                if child not in candidates:
                    visit_container(child, condition, owner, candidates)
        else:
            visit(module, condition, owner)

    visit(model, ONE, None)
    for key, size in sizes.items():
        total[owners[key]].append(_any(conditions[key]) * float(size))
    return {owner: Polynomial.sum(parts) for owner, parts in total.items()}


def _sliced_by_its_space(module: Any, convention: Convention) -> tuple[Polynomial, Owner]:
    """Parameters of a layer that a space of NNI's slices by a hook of its own, by trying every value."""
    mutables = module.simplify()
    total = []
    for indices in itertools.product(*(range(len(mutable.values)) for mutable in mutables.values())):
        condition = ONE
        for label, index in zip(mutables, indices, strict=True):
            condition = condition * Polynomial.entry(label, index)
        layer = module.freeze({m.label: m.values[i] for m, i in zip(mutables.values(), indices, strict=True)})
        total.append(condition * float(sum(map(convention.size_of, layer.parameters()))))
    return Polynomial.sum(total), (next(iter(mutables)), 0)


def _any(conditions: list[Polynomial]) -> Polynomial:
    combined = conditions[0]
    for condition in conditions[1:]:
        if condition != combined:
            combined = combined.either(condition)
    return combined
