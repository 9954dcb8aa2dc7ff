"""Costs of operations whose size follows from sliced layers, found by running the supernet at several values.

A channel choice changes what everything behind it costs, also layers that know nothing of the choice. One pass
gives each operation's cost at one value of every slicing label. Varying one label at a time tells on which labels
an operation depends; running all outcomes of those labels gives its exact polynomial. Where a label matters only
together with another value of a second one (the larger of two widths), that first look misses it: joint outcomes
drawn at random are then counted and compared, and a difference is followed to the label behind it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Mapping

from snas_nni.distribution.choices import Choice
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.resources.counting import Count

__all__ = ["operation_polynomials"]

MAX_OUTCOMES = 4096
CHECKS = 8

Run = Callable[[Mapping[str, int]], Count]


def operation_polynomials(
    run_once: Run, labels: list[str], choices: Mapping[str, Choice], additive: Collection[str] = ()
) -> list[tuple[Owner, Polynomial, dict[str, Polynomial]]]:
    """Cost of each operation of the supernet as a polynomial.

    Args:
        run_once: counts one pass at the given candidate index of each slicing label.
        labels: the slicing labels.
        choices: of the space.
        additive: labels of two candidates whose effects on one operation are known to add up (channels that are there
            or not): each is varied by itself, whatever the others are. Checked on joint outcomes.

    Returns:
        For each operation, in the order they ran, the choice that decides about it, how many times the child runs
        it, and ``{cost name: polynomial}`` of one run.

    Raises:
        UnsupportedSpaceError: the passes met different operations, or too many outcomes would have to be run.
    """
    seen: dict[frozenset[tuple[str, int]], Count] = {}

    def run(values: Mapping[str, int]) -> Count:
        key = frozenset((label, index) for label, index in values.items() if index)
        if key not in seen:
            seen[key] = run_once(values)
        return seen[key]

    base = run({})
    depends: list[set[str]] = [set() for _ in base.conditions]

    def vary(label: str, index: int, others: Mapping[str, int]) -> None:
        """Let operations depend on a label that changes their cost, and on others that change by how much."""
        alone, before = run({label: index} if others else {}), run(others)
        varied = _comparable(run({**others, label: index}), base, label)
        for position, names in enumerate(depends):
            for name, values in varied.costs.items():
                change = values[position] - before.costs[name][position]
                if change != alone.costs[name][position] - base.costs[name][position]:
                    names.update((label, *others))

    for label in labels:
        for index in range(1, len(choices[label].candidates)):
            vary(label, index, {})
    # Which channels a layer could lack may depend on a choice, such as how many cells come before it.
    for label in additive:
        for other in labels:
            for index in range(1, len(choices[other].candidates)) if other not in additive else ():
                vary(label, 1, {other: index})
    counted = [(values, _comparable(run(values), base, ", ".join(labels))) for values in _joint(labels, choices)]
    while True:
        keys = sorted({tuple(sorted(names)) for names in depends if names})
        outcomes = _all_outcomes(run, base, keys, choices, additive)
        if not any(_follow(run, values, count, base, depends, outcomes, additive) for values, count in counted):
            break
    result = []
    for position, condition in enumerate(base.conditions):
        key = tuple(sorted(depends[position]))
        sizes = {
            name: _interpolated(outcomes[key], additive, name, position)
            if key
            else Polynomial.constant(values[position])
            for name, values in base.costs.items()
        }
        # An operation under no choice, whose size a sliced layer before it decides, belongs to that label.
        owner = base.owners[position] or ((key[0], 0) if key else None)
        result.append((owner, condition, sizes))
    return result


def _joint(labels: list[str], choices: Mapping[str, Choice]) -> list[dict[str, int]]:
    """Joint outcomes to check: all of them if there are few, some at random otherwise."""
    sizes = [len(choices[label].candidates) for label in labels]
    if len(labels) < 2:
        return []
    if math.prod(sizes) <= 4 * CHECKS:
        return [dict(zip(labels, indices, strict=True)) for indices in itertools.product(*map(range, sizes))]
    chooser = random.Random(0)  # its own: counting must not change what a search draws
    return [dict(zip(labels, map(chooser.randrange, sizes), strict=True)) for _ in range(CHECKS)]


Outcomes = list[tuple[dict[str, int], Count]]


def _interpolated(outcomes: Outcomes, additive: Collection[str], name: str, position: int) -> Polynomial:
    """The polynomial through the counted outcomes."""
    result: list[Polynomial] = []
    for indices, count in outcomes:
        lacking = [label for label, index in indices.items() if label in additive and index]
        others = {label: index for label, index in indices.items() if label not in additive}
        value = count.costs[name][position]
        if lacking:
            value -= _counted_at(outcomes, additive, others).costs[name][position]
        result.append(_entry({**others, **dict.fromkeys(lacking, 1)}) * value)
    return Polynomial.sum(result)


def _counted_at(outcomes: Outcomes, additive: Collection[str], values: Mapping[str, int], lacking: str = "") -> Count:
    """The outcome that agrees with ``values`` and lacks at most one additive label."""
    for indices, count in outcomes:
        if all(
            (index == (label == lacking)) if label in additive else (values[label] == index)
            for label, index in indices.items()
        ):
            return count
    raise KeyError(lacking)


def _predicted(
    outcomes: Outcomes, additive: Collection[str], values: Mapping[str, int], name: str, position: int
) -> float:
    """What the counted outcomes say about a joint one."""
    start = _counted_at(outcomes, additive, values).costs[name][position]
    lacking = [label for label in outcomes[0][0] if label in additive and values[label]]
    changes = (_counted_at(outcomes, additive, values, label).costs[name][position] - start for label in lacking)
    return start + sum(changes)


def _follow(
    run: Run,
    values: Mapping[str, int],
    count: Count,
    base: Count,
    depends: list[set[str]],
    outcomes: Mapping[tuple[str, ...], Outcomes],
    additive: Collection[str],
) -> bool:
    """Compare a joint outcome with what the known dependences say; add those it reveals; tell whether there were any.

    If an operation costs otherwise than its known labels say, then on the way from ``values`` back to the first
    candidate of all other labels, one at a time, its cost changes at some label, and it depends on that one.

    Raises:
        UnsupportedSpaceError: labels that should add up do not.
    """
    wrong: dict[tuple[str, ...], list[int]] = {}
    for position, names in enumerate(depends):
        key = tuple(sorted(names))
        if any(
            costs[position] != (_predicted(outcomes[key], additive, values, name, position) if key else known[position])
            for (name, costs), known in zip(count.costs.items(), base.costs.values(), strict=True)
        ):
            wrong.setdefault(key, []).append(position)
    before_following = [set(names) for names in depends]
    for key, positions in wrong.items():
        before, current = count, dict(values)
        for label in values:
            if label not in key and current[label] != 0:
                current[label] = 0
                after = _comparable(run(current), base, label)
                for position in positions:
                    if any(before.costs[name][position] != costs[position] for name, costs in after.costs.items()):
                        depends[position].add(label)
                before = after
    if wrong and depends == before_following:
        raise UnsupportedSpaceError(
            f"labels {', '.join(next(iter(wrong)))}: what one operation costs is not a sum over the nodes that a cell "
            "leaves out, so it cannot be counted. Use merge_op='all', or search without a penalty and a budget."
        )
    return bool(wrong)


def _all_outcomes(
    run: Run,
    base: Count,
    keys: list[tuple[str, ...]],
    choices: Mapping[str, Choice],
    additive: Collection[str],
) -> dict[tuple[str, ...], Outcomes]:
    """Count every outcome of each set of labels, of additive ones each by itself.

    Sets without a common label share their passes.
    """
    outcomes: dict[tuple[str, ...], list[dict[str, int]]] = {}
    for labels in keys:
        alone = [label for label in labels if label in additive]
        together = [label for label in labels if label not in additive]
        sizes = [len(choices[label].candidates) for label in together]
        if math.prod(sizes) > MAX_OUTCOMES:
            raise UnsupportedSpaceError(
                f"labels {', '.join(together)}: one operation's cost depends on all of them, and they have "
                f"{math.prod(sizes):,} outcomes, more than {MAX_OUTCOMES:,}. Give them fewer candidates."
            )
        outcomes[labels] = [
            {**dict(zip(together, indices, strict=True)), **{label: int(label == lacking) for label in alone}}
            for indices in itertools.product(*map(range, sizes))
            for lacking in [None, *alone]
        ]
    groups: list[list[tuple[str, ...]]] = []
    for labels in sorted(keys, key=lambda key: -len(outcomes[key])):
        for group in groups:
            if not any(set(labels) & set(other) for other in group):
                group.append(labels)
                break
        else:
            groups.append([labels])
    counted: dict[tuple[str, ...], Outcomes] = {labels: [] for labels in keys}
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
