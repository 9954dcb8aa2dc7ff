"""Multilinear polynomials in the entries of Z: when a part of the network runs, and what it costs.

A term is a product of distinct entries ``Z[label][candidate]`` times a number. Since Z is one-hot in each label,
an entry times itself is itself, and two different entries of one label multiply to zero; with that, every product
of polynomials is multilinear again, and its expectation under independent labels is its value at the probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["ONE", "Polynomial", "Term"]

Term = tuple[tuple[str, int], ...]
"""Sorted ``(label, candidate index)`` pairs with distinct labels; empty for the constant."""


@dataclass(frozen=True)
class Polynomial:
    """A sum of terms.

    Attributes:
        terms: coefficient of each term; terms with coefficient 0 are left out.
    """

    terms: Mapping[Term, float] = field(default_factory=dict)

    @staticmethod
    def constant(value: float) -> Polynomial:
        """The same number for every Z."""
        return Polynomial({(): value} if value else {})

    @staticmethod
    def entry(label: str, candidate: int) -> Polynomial:
        """``Z[label][candidate]``."""
        return Polynomial({((label, candidate),): 1.0})

    @staticmethod
    def sum(polynomials: Iterable[Polynomial]) -> Polynomial:
        """Sum of any number of polynomials."""
        total: dict[Term, float] = {}
        for polynomial in polynomials:
            for term, value in polynomial.terms.items():
                total[term] = total.get(term, 0.0) + value
        return Polynomial({term: value for term, value in total.items() if value})

    def __add__(self, other: Polynomial) -> Polynomial:
        return Polynomial.sum((self, other))

    def __mul__(self, other: Polynomial | float) -> Polynomial:
        if not isinstance(other, Polynomial):
            return Polynomial({term: value * other for term, value in self.terms.items() if value * other})
        return Polynomial.sum(
            Polynomial({product: a * b})
            for left, a in self.terms.items()
            for right, b in other.terms.items()
            if (product := _product(left, right)) is not None
        )

    def either(self, other: Polynomial) -> Polynomial:
        """Whether this or the other holds, for polynomials whose values are 0 or 1."""
        return self + other + (self * other) * -1.0

    def value(self, chosen: Mapping[str, int]) -> float:
        """Value at a one-hot Z, given the candidate index chosen for each label."""
        return sum(v for term, v in self.terms.items() if all(chosen[label] == index for label, index in term))

    def at(self, weights: Mapping[str, Sequence[float]]) -> float:
        """Value at any Z; at the probabilities of independent labels, the expectation.

        Args:
            weights: by label, one for each candidate.
        """
        return math.fsum(
            v * math.prod(weights[label][index] for label, index in term) for term, v in self.terms.items()
        )


ONE = Polynomial.constant(1.0)


def _product(left: Term, right: Term) -> Term | None:
    merged = dict(left)
    for label, index in right:
        if merged.setdefault(label, index) != index:
            return None
    return tuple(sorted(merged.items()))
