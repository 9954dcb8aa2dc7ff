"""What a label of the space can be: one of, so many of, or any of its candidates.

Each kind is one or more independent categorical variables ("rows") over C categories, so that sampling, density,
entropy and mode are the same code for all of them. What differs is how logits make rows, and how a one-hot or
relaxed row is read as one weight per candidate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from nni.mutable import Categorical, CategoricalMultiple, Constraint, LabeledMutable
from torch import Tensor

from snas_nni.errors import UnsupportedSpaceError

__all__ = ["AnyOf", "Choice", "OneOf", "SubsetOf", "choice_of", "chosen_categories"]

# Subsets are enumerated. 4,096 rows of logits are nothing beside a supernet; C(20, 10) would not be.
MAX_SUBSETS = 4096


@dataclass(frozen=True)
class Choice:
    """A labelled choice among ``candidates``.

    Attributes:
        label: the label of NNI's mutable; modules with the same label share the choice.
        candidates: NNI's values, in order; K of them.
    """

    label: str
    candidates: tuple[Hashable, ...]

    @property
    def logits_shape(self) -> tuple[int, ...]:
        """Shape of the trainable logits."""
        raise NotImplementedError

    def rows(self, logits: Tensor) -> Tensor:
        """Logits of the categorical variables, shape ``(rows, C)``."""
        raise NotImplementedError

    def weights(self, rows: Tensor) -> Tensor:
        """Read (relaxed) one-hot rows, shape ``(..., rows, C)``, as weights of the candidates, ``(..., K)``."""
        raise NotImplementedError

    def value(self, categories: Sequence[int]) -> Any:
        """NNI's sample value for the chosen category of each row."""
        raise NotImplementedError

    def categories(self, value: Any) -> list[int]:
        """Inverse of :meth:`value`. Raises ValueError for a value that is not in the choice."""
        raise NotImplementedError


@dataclass(frozen=True)
class OneOf(Choice):
    """Exactly one of K candidates: SNAS's one-hot variable Z (paper, section 2.1).

    Attributes:
        as_list: NNI wants the value as a list of one (an ``InputChoice`` with ``n_chosen=1``).
    """

    as_list: bool = False

    @property
    def logits_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.candidates),)

    def rows(self, logits: Tensor) -> Tensor:  # noqa: D102
        return logits.unsqueeze(0)

    def weights(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows.squeeze(-2)

    def value(self, categories: Sequence[int]) -> Any:  # noqa: D102
        chosen = self.candidates[categories[0]]
        return [chosen] if self.as_list else chosen

    def categories(self, value: Any) -> list[int]:  # noqa: D102
        return [self.candidates.index(value[0] if self.as_list else value)]


@dataclass(frozen=True)
class SubsetOf(Choice):
    """Exactly ``n_chosen`` of K candidates, 1 < n_chosen <= K.

    One categorical variable over all subsets of that size, with the logit of a subset the sum of the logits of its
    members: K parameters, the mode is the top ``n_chosen``, and the inclusion weights always sum to ``n_chosen``.
    """

    n_chosen: int = 2

    @cached_property
    def subsets(self) -> list[tuple[int, ...]]:
        """Index tuples of all subsets, in lexicographic order."""
        return list(itertools.combinations(range(len(self.candidates)), self.n_chosen))

    @cached_property
    def _incidence(self) -> Tensor:
        matrix = torch.zeros(len(self.subsets), len(self.candidates), dtype=torch.float64)
        for row, subset in enumerate(self.subsets):
            matrix[row, list(subset)] = 1.0
        return matrix

    @property
    def logits_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.candidates),)

    def rows(self, logits: Tensor) -> Tensor:  # noqa: D102
        # Not a matrix product: autocast would round that to 16 bits.
        return (self._incidence.to(logits) * logits).sum(-1).unsqueeze(0)

    def weights(self, rows: Tensor) -> Tensor:  # noqa: D102
        return (rows.squeeze(-2).unsqueeze(-1) * self._incidence.to(rows)).sum(-2)

    def value(self, categories: Sequence[int]) -> Any:  # noqa: D102
        return [self.candidates[index] for index in self.subsets[categories[0]]]

    def categories(self, value: Any) -> list[int]:  # noqa: D102
        return [self.subsets.index(tuple(sorted(self.candidates.index(v) for v in value)))]


@dataclass(frozen=True)
class AnyOf(Choice):
    """Any number of K candidates, none included: an independent binary gate for each.

    Row k is a categorical variable over (absent, present).
    """

    @property
    def logits_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.candidates), 2)

    def rows(self, logits: Tensor) -> Tensor:  # noqa: D102
        return logits

    def weights(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows[..., 1]

    def value(self, categories: Sequence[int]) -> Any:  # noqa: D102
        return [candidate for candidate, gate in zip(self.candidates, categories, strict=True) if gate]

    def categories(self, value: Any) -> list[int]:  # noqa: D102
        for chosen in value:
            self.candidates.index(chosen)
        return [int(candidate in value) for candidate in self.candidates]


def chosen_categories(choice: Choice, values: Mapping[str, Any]) -> list[int]:
    """The category of each row of ``choice`` in an NNI sample ``{label: value}``.

    Raises:
        ValueError: names the label, if it is missing or no candidate has its value.
    """
    try:
        return choice.categories(values[choice.label])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"label '{choice.label}': the sample has {values.get(choice.label, 'nothing')!r} for it; it chooses among "
            f"{', '.join(map(repr, choice.candidates))}."
        ) from error


def choice_of(mutable: LabeledMutable) -> Choice:
    """Make the choice that stands for one of NNI's labelled mutables.

    Raises:
        UnsupportedSpaceError: the mutable is continuous, a constraint, or has too many subsets.
    """
    label = mutable.label
    if isinstance(mutable, Categorical):
        return OneOf(label, tuple(mutable.values))
    if isinstance(mutable, CategoricalMultiple):
        candidates = tuple(mutable.values)
        if mutable.n_chosen is None:
            return AnyOf(label, candidates)
        if mutable.n_chosen == 1:
            return OneOf(label, candidates, as_list=True)
        subsets = math.comb(len(candidates), mutable.n_chosen)
        if subsets > MAX_SUBSETS:
            raise UnsupportedSpaceError(
                f"label '{label}': choosing {mutable.n_chosen} of {len(candidates)} inputs has {subsets:,} outcomes, "
                f"more than the {MAX_SUBSETS:,} that can be searched exactly. Choose fewer inputs, or use "
                "n_chosen=None (an independent gate for each input)."
            )
        return SubsetOf(label, candidates, mutable.n_chosen)
    if isinstance(mutable, Constraint):
        raise UnsupportedSpaceError(
            f"label '{label}': {type(mutable).__name__} is not a choice but a constraint that couples other choices, "
            "while SNAS draws every choice independently of the others. Make each legal combination a candidate of one "
            "choice, or leave the constraint out and give its cost a penalty."
        )
    raise UnsupportedSpaceError(
        f"label '{label}': {type(mutable).__name__} is not a choice among finitely many candidates, so it has no "
        "logits. Replace it by nni.choice with a list of values, or fix its value before the search."
    )
