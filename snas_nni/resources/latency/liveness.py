"""When what a child has is needed at all: an exported graph has nothing that its output does not depend on.

Where a zero operation cuts the only ways from a layer to the output, that layer is not in the graph. So is, with the
last way from the input to the output, nearly the whole network. The supernet is run at children with a gradient, and
what the output depends on is read off PyTorch's graph of the pass. From which choices cut, and which layers die of
which cuts, follows a polynomial in Z for each layer that is 1 where the graph has it.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.resources.latency.drawing import random_children
from snas_nni.supernet.base import SampledModule
from snas_nni.supernet.evaluating import evaluating

__all__ = ["live_conditions"]

_LOOKS, _PATTERNS, _BASES = 100, 128, 64
_MOST_LABELS = 8
"""Labels whose cuts one layer may die of; where there are more it counts as needed always."""

Seen = dict[Owner, tuple[bool, bool | None]]
"""By layer: whether the output depends on it, and whether it depends on its input; None where that is constant."""


def live_conditions(
    supernet: nn.Module, distribution: ArchitectureDistribution, arguments: tuple[Any, ...], seed: int = 0
) -> dict[Owner, Polynomial]:
    """Return when each layer with a choice is needed, and under None when the input is; not those always needed.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        arguments: of ``forward``.
        seed: of the children that are looked at.
    """
    choices = {label: choice for label, choice in distribution.choices.items() if isinstance(choice, OneOf)}
    samples = random_children(distribution.choices, _LOOKS, seed)
    with _Looking(supernet, distribution, arguments) as look:
        seen = [(sample, look(sample)) for sample in samples]
        cuts = _cuts(seen, choices)
        if not cuts:
            return {}
        uncut = {
            label: next(i for i in range(len(choices[label].candidates)) if i not in cuts[label]) for label in cuts
        }

        def with_cuts(sample: Mapping[str, Any], labels: Mapping[str, bool]) -> dict[str, Any]:
            chosen = {label: min(cuts[label]) if cut else uncut[label] for label, cut in labels.items()}
            return {**sample, **{label: choices[label].value([index]) for label, index in chosen.items()}}

        @cache
        def at(cut: frozenset[str]) -> Seen:
            return look(with_cuts(samples[0], {label: label in cut for label in cuts}))

        def lives(owner: Owner, cut: frozenset[str]) -> bool:
            return at(cut).get(owner, (True, None))[0]

        def turned(sample: Mapping[str, Any], cut: frozenset[str], label: str) -> Seen:
            return look(with_cuts(sample, {label: label not in cut}))

        # Candidates that cut are few among many, so children at random seldom have several of them where it matters.
        views = [_View(cut, at(cut), partial(_flipped, at, cut)) for cut in _patterns(sorted(cuts), seed)]
        for sample, found in seen:
            cut = frozenset(label for label in cuts if _is_cut(sample, label, cuts, choices))
            views.append(_View(cut, found, partial(turned, sample, cut)))
        dying = {owner for view in views for owner, (live, _) in view.found.items() if not live}
        dying = {owner for owner in dying if owner is None or owner[0] in choices}
        needs: dict[Owner, set[str]] = {owner: set() for owner in dying}
        looked: set[int] = set()
        while len(looked) < _BASES:
            # Where a layer is dead or alive against what is known of it, some choice matters that was not seen to.
            wrong = next(
                (
                    number
                    for number, view in enumerate(views)
                    if number not in looked
                    and any(lives(owner, view.cut & needs[owner]) != view.found[owner][0]
                            for owner in dying & view.found.keys())
                ),
                None,
            )  # fmt: skip
            if wrong is None:
                break
            looked.add(wrong)
            before = views[wrong].found
            for label in cuts:
                after = views[wrong].flip(label)
                for owner in dying & before.keys() & after.keys():
                    if (owner is None or owner[0] != label) and before[owner][0] != after[owner][0]:
                        needs[owner].add(label)
        known = {owner: sorted(labels) for owner, labels in needs.items() if 0 < len(labels) <= _MOST_LABELS}
        conditions = {owner: _polynomial(partial(lives, owner), labels, cuts) for owner, labels in known.items()}
        return {owner: polynomial for owner, polynomial in conditions.items() if polynomial.terms != ONE.terms}


@dataclass(frozen=True)
class _View:
    """A child that was looked at: which labels are cut, what was seen, what is seen with one of them the other way."""

    cut: frozenset[str]
    found: Seen
    flip: Callable[[str], Seen]


def _flipped(at: Callable[[frozenset[str]], Seen], cut: frozenset[str], label: str) -> Seen:
    return at(cut ^ {label})


def _patterns(labels: Sequence[str], seed: int) -> list[frozenset[str]]:
    """Which labels are cut: every way, or as many at random where there are more."""
    if 2 ** len(labels) <= _PATTERNS:
        every = range(len(labels) + 1)
        return [frozenset(cut) for size in every for cut in itertools.combinations(labels, size)]
    generator = random.Random(seed)
    return [frozenset(label for label in labels if generator.random() < 0.5) for _ in range(_PATTERNS)]


def _is_cut(
    sample: Mapping[str, Any], label: str, cuts: Mapping[str, frozenset[int]], choices: Mapping[str, OneOf]
) -> bool:
    return choices[label].categories(sample[label])[0] in cuts[label]


def _cuts(seen: Sequence[tuple[Mapping[str, Any], Seen]], choices: Mapping[str, OneOf]) -> dict[str, frozenset[int]]:
    """Candidates through which nothing passes, by label; labels that have both kinds."""
    passes: dict[tuple[str, int], set[bool]] = defaultdict(set)
    for sample, found in seen:
        for owner, (_, depends) in found.items():
            if owner is not None and depends is not None and owner[0] in choices:
                passes[(owner[0], choices[owner[0]].categories(sample[owner[0]])[0])].add(depends)
    by_label: dict[str, set[int]] = defaultdict(set)
    for (label, index), seen_passing in passes.items():
        if seen_passing == {False}:
            by_label[label].add(index)
    return {
        label: frozenset(indices)
        for label, indices in by_label.items()
        if len(indices) < len(choices[label].candidates)
    }


def _polynomial(
    alive: Callable[[frozenset[str]], bool], labels: Sequence[str], cuts: Mapping[str, frozenset[int]]
) -> Polynomial:
    """The multilinear form of a function of which labels are cut (by inclusion and exclusion)."""
    cut = {label: Polynomial.sum(Polynomial.entry(label, index) for index in cuts[label]) for label in labels}
    found = []
    for size in range(len(labels) + 1):
        for subset in itertools.combinations(labels, size):
            value = sum(
                (-1.0) ** (size - inner) * alive(frozenset(part))
                for inner in range(size + 1)
                for part in itertools.combinations(subset, inner)
            )
            if value:
                term = ONE
                for label in subset:
                    term = term * cut[label]
                found.append(term * value)
    return Polynomial.sum(found)


class _Looking:
    """Runs a supernet at children and tells what their outputs depend on."""

    def __init__(self, supernet: nn.Module, distribution: ArchitectureDistribution, arguments: tuple[Any, ...]) -> None:
        self._supernet, self._distribution, self._arguments = supernet, distribution, arguments
        self._inputs: dict[Owner, Any] = {}
        self._outputs: dict[Owner, Any] = {}
        self._hooks: list[Any] = []

    def __enter__(self) -> _Looking:
        for module in self._supernet.modules():
            if isinstance(module, SampledModule) and isinstance(module, nn.Module) and len(module.readers) == 1:
                self._hooks.append(module.register_forward_pre_hook(self._before(module.owner)))
                self._hooks.append(module.register_forward_hook(self._after(module.owner)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __call__(self, sample: Mapping[str, Any]) -> Seen:
        self._inputs, self._outputs = {}, {}
        marked, first = list(self._arguments), None
        if isinstance(marked[0], Tensor) and marked[0].is_floating_point():
            first = marked[0].detach().clone().requires_grad_() * 1.0
            marked[0] = first
        child = self._distribution.one_hot_sample(sample)
        with (
            torch.random.fork_rng(devices=[]),
            evaluating(self._supernet),
            torch.enable_grad(),
            self._distribution.use(child),
        ):
            output = self._supernet(*marked)
        reached = _behind([each.grad_fn for each in _tensors(output)])
        found: Seen = {
            owner: (node in reached, self._inputs.get(owner) in _behind([node]) if self._inputs.get(owner) else None)
            for owner, node in self._outputs.items()
            if node is not None or self._inputs.get(owner) is not None
        }
        if first is not None:
            found[None] = (first.grad_fn in reached, None)
        return found

    def _before(self, owner: Owner) -> Callable[..., Any]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
            if not inputs or not isinstance(inputs[0], Tensor):
                return None
            own = inputs[0].view_as(inputs[0])  # a node of its own, also where nothing is computed
            self._inputs[owner] = own.grad_fn
            return (own, *inputs[1:])

        return hook

    def _after(self, owner: Owner) -> Callable[..., Any]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            if not isinstance(output, Tensor):
                return None
            own = output.view_as(output)
            self._outputs[owner] = own.grad_fn
            return own

        return hook


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [each for part in value for each in _tensors(part)]


def _behind(nodes: Sequence[Any]) -> set[Any]:
    """Everything in PyTorch's graph that nodes depend on, they themselves included."""
    found: set[Any] = set()
    left = [node for node in nodes if node is not None]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left.extend(each for each, _ in node.next_functions if each is not None)
    return found
