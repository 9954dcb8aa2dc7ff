"""Counts parameters: which are part of the child, under which condition."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.nni_compat import MixedOperation
from snas_nni.resources.operations import Convention, is_normalization
from snas_nni.supernet.base import SampledModule
from snas_nni.supernet.evaluating import drawing_apart

__all__ = ["parameter_polynomials"]


def parameter_polynomials(
    model: nn.Module, convention: Convention, size_of: Callable[[Tensor], float] = Tensor.numel
) -> dict[Owner, Polynomial]:
    """Size of the child's parameters as polynomials in Z, by the choice that decides about them.

    Parameters that two places share count once, for the first of them.

    Args:
        model: a supernet, or a plain network.
        convention: what counts.
        size_of: what one parameter counts: its number of elements, or its bytes as stored.
    """
    sizes: dict[int, float] = {}
    owners: dict[int, Owner] = {}
    conditions: dict[int, list[Polynomial]] = defaultdict(list)
    total: dict[Owner, list[Polynomial]] = defaultdict(list)

    def visit(module: nn.Module, condition: Polynomial, owner: Owner) -> None:
        candidates: set[nn.Module] = set()
        counts = convention.normalization or not is_normalization(module)
        if isinstance(module, SampledModule):
            own = module.own_parameters(size_of) if counts else None
            if own is not None:
                total[module.owner].append(condition * own)
                return
            for branch_condition, candidate in module.branches():
                candidates.add(candidate)
                visit(candidate, condition * branch_condition, module.owner)
        elif isinstance(module, MixedOperation) and counts:
            own, decides = _sliced_by_its_space(module, size_of)
            total[decides].append(condition * own)
            return
        if counts:
            for parameter in module.parameters(recurse=False):
                sizes[id(parameter)] = size_of(parameter)
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

    with drawing_apart(model):  # layers that are sliced are made to be measured
        visit(model, ONE, None)
    for key, size in sizes.items():
        total[owners[key]].append(_any(conditions[key]) * float(size))
    return {owner: Polynomial.sum(parts) for owner, parts in total.items()}


def _sliced_by_its_space(module: Any, size_of: Callable[[Tensor], float]) -> tuple[Polynomial, Owner]:
    """Parameters of a layer that a space of NNI's slices by a hook of its own, by trying every value."""
    mutables = module.simplify()
    total = []
    for indices in itertools.product(*(range(len(mutable.values)) for mutable in mutables.values())):
        condition = ONE
        for label, index in zip(mutables, indices, strict=True):
            condition = condition * Polynomial.entry(label, index)
        layer = module.freeze({m.label: m.values[i] for m, i in zip(mutables.values(), indices, strict=True)})
        total.append(condition * float(sum(map(size_of, layer.parameters()))))
    return Polynomial.sum(total), (next(iter(mutables)), 0)


def _any(conditions: list[Polynomial]) -> Polynomial:
    combined = conditions[0]
    for condition in conditions[1:]:
        if condition != combined:
            combined = combined.either(condition)
    return combined
