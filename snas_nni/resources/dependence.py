"""Costs of operations whose size follows from sliced layers, found by running the supernet at several values.

A channel choice changes what everything behind it costs, also layers that know nothing of the choice. One pass
gives each operation's cost at one value of every slicing label. Varying one label at a time tells on which labels
an operation depends; running all outcomes of those labels gives its exact polynomial.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

from snas_nni.choices import Choice
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.resources.counting import Count
from snas_nni.resources.polynomial import ONE, Polynomial
from snas_nni.resources.trace import Owner

__all__ = ["operation_polynomials"]

MAX_OUTCOMES = 4096

Run = Callable[[Mapping[str, int]], Count]


def operation_polynomials(
    run: Run, labels: list[str], choices: Mapping[str, Choice]
) -> list[tuple[Owner, dict[str, Polynomial]]]:
    """Cost of each operation of the supernet as a polynomial, its condition included.

    Args:
        run: counts one pass at the given candidate index of each slicing label.
        labels: the slicing labels.
        choices: of the space.

    Returns:
        For each operation, in the order they ran, the choice that decides about it and ``{cost name: polynomial}``.

    Raises:
        UnsupportedSpaceError: the passes met different operations, or too many outcomes would have to be run.
    """
    base = run({})
    depends: list[set[str]] = [set() for _ in base.conditions]
    for label in labels:
        for index in range(1, len(choices[label].candidates)):
            varied = _comparable(run({label: index}), base, label)
            for position, names in enumerate(depends):
                if any(values[position] != base.costs[name][position] for name, values in varied.costs.items()):
                    names.add(label)
    keys = sorted({tuple(sorted(names)) for names in depends if names})
    outcomes = _all_outcomes(run, base, keys, choices)
    result = []
    for position, condition in enumerate(base.conditions):
        key = tuple(sorted(depends[position]))
        polynomials = {
            name: condition
            * (
                Polynomial.sum(_entry(indices) * count.costs[name][position] for indices, count in outcomes[key])
                if key
                else values[position]
            )
            for name, values in base.costs.items()
        }
        # An operation under no choice, whose size a sliced layer before it decides, belongs to that label.
        owner = base.owners[position] or ((key[0], 0) if key else None)
        result.append((owner, polynomials))
    return result


def _all_outcomes(
    run: Run, base: Count, keys: list[tuple[str, ...]], choices: Mapping[str, Choice]
) -> dict[tuple[str, ...], list[tuple[dict[str, int], Count]]]:
    """Count every outcome of each set of labels; sets without a common label share their passes."""
    outcomes: dict[tuple[str, ...], list[dict[str, int]]] = {}
    for labels in keys:
        sizes = [len(choices[label].candidates) for label in labels]
        if math.prod(sizes) > MAX_OUTCOMES:
            raise UnsupportedSpaceError(
                f"labels {', '.join(labels)}: one operation's cost depends on all of them, and they have "
                f"{math.prod(sizes):,} outcomes, more than {MAX_OUTCOMES:,}. Give them fewer candidates."
            )
        outcomes[labels] = [
            dict(zip(labels, indices, strict=True)) for indices in itertools.product(*map(range, sizes))
        ]
    groups: list[list[tuple[str, ...]]] = []
    for labels in sorted(keys, key=lambda key: -len(outcomes[key])):
        for group in groups:
            if not any(set(labels) & set(other) for other in group):
                group.append(labels)
                break
        else:
            groups.append([labels])
    counted: dict[tuple[str, ...], list[tuple[dict[str, int], Count]]] = {labels: [] for labels in keys}
    for group in groups:
        for turn in range(max(len(outcomes[labels]) for labels in group)):
            due = [labels for labels in group if turn < len(outcomes[labels])]
            values = {k: v for labels in due for k, v in outcomes[labels][turn].items()}
            count = _comparable(run(values), base, ", ".join(values))
            for labels in due:
                counted[labels].append((outcomes[labels][turn], count))
    return counted


def _comparable(count: Count, base: Count, labels: str) -> Count:
    if len(count.conditions) != len(base.conditions):
        raise UnsupportedSpaceError(
            f"label '{labels}': the network runs other operations for some of its values "
            f"({len(base.conditions)} and {len(count.conditions)}), so its cost is not a polynomial in the choices. "
            "Express the difference with LayerChoice or Repeat."
        )
    return count


def _entry(indices: Mapping[str, int]) -> Polynomial:
    product = ONE
    for label, index in indices.items():
        product = product * Polynomial.entry(label, index)
    return product
