"""Slices of weights where a size is a sum of choices: the channels of a concatenation.

Of ``torch.cat`` of tensors with a and b channels, a layer behind it has ``in_channels=a + b``. A child with a smaller a
lacks channels in the middle, so each term of the sum takes the first part of its own segment of the weight.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nni.mutable import MutableExpression
from torch import Tensor

__all__ = ["Segments", "parts_of", "segmented"]


def terms_of(expression: Any) -> list[Any]:
    """The terms of a sum, expressions or numbers; any other expression is its own only term."""
    if isinstance(expression, MutableExpression) and getattr(expression, "function", None) is operator.add:
        return list(itertools.chain.from_iterable(terms_of(argument) for argument in expression.arguments))
    return [expression]


def largest(term: Any) -> int:
    """The largest value of a term."""
    return max(term.grid()) if isinstance(term, MutableExpression) else term


def segmented(expression: Any) -> bool:
    """Whether an expression is a sum whose terms are largest together, so that each can have its own segment."""
    terms = terms_of(expression)
    return len(terms) > 1 and sum(map(largest, terms)) == largest(expression)


@dataclass(frozen=True)
class Segments:
    """What is kept of a dimension that is made of segments.

    Attributes:
        sizes: of each segment in the shared weight.
        kept: how much of its beginning is kept: a number, or the weights of several, ``{number: weight}``.
    """

    sizes: tuple[int, ...]
    kept: tuple[int | Mapping[int, Tensor], ...]

    @property
    def indices(self) -> list[int] | None:
        """Indices that are kept, in order; None if some number is still undecided."""
        if any(isinstance(kept, Mapping) for kept in self.kept):
            return None
        return [start + index for start, kept in zip(self._starts(), self.kept, strict=True) for index in range(kept)]  # type: ignore[arg-type]

    def select(self, weight: Tensor, dim: int) -> Tensor:
        """Take the kept slices of a weight; while undecided, the whole weight times the share that keeps each index."""
        if self.indices is not None:
            if self.kept == self.sizes:
                return weight
            pairs = zip(self._starts(), self.kept, strict=True)
            return torch.cat([weight.narrow(dim, start, kept) for start, kept in pairs], dim)  # type: ignore[arg-type]
        shares = [self._share(size, kept, weight) for size, kept in zip(self.sizes, self.kept, strict=True)]
        shape = [1] * weight.dim()
        shape[dim] = -1
        return weight * torch.cat(shares).view(shape)

    def _starts(self) -> Iterable[int]:
        return itertools.accumulate(self.sizes[:-1], initial=0)

    @staticmethod
    def _share(size: int, kept: int | Mapping[int, Tensor], like: Tensor) -> Tensor:
        """For each index of a segment, the weight of the numbers that keep it."""
        places = torch.arange(size, device=like.device)
        numbers = kept if isinstance(kept, Mapping) else {kept: like.new_ones(())}
        return sum((places < number).to(like) * weight for number, weight in numbers.items())  # type: ignore[return-value]


def parts_of(expression: Any, value: Callable[[MutableExpression], Any]) -> Segments:
    """The segments of a sum.

    Args:
        expression: one that :func:`segmented` says yes to.
        value: gives a term's value, or ``{value: weight}``.
    """
    terms = terms_of(expression)
    kept = tuple(value(term) if isinstance(term, MutableExpression) else term for term in terms)
    return Segments(tuple(map(largest, terms)), kept)
