"""From the time of whole children to milliseconds for each part: a table.

Errors count relative to each child's own time. First comes what is known of any runtime: a non-negative constant, and
non-negative factors for multiply-accumulates, memory access and the number of parts. A ridge regression then corrects
each part; its strength is the one with the smallest error on children that are left out one at a time. Where parts that
meet are faster or slower together than apart, because the runtime fuses them or has to reorder what lies between, the
products of two parts that say so are added one by one, as long as that error falls. All of it is multilinear in Z.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from snas_nni.cost_model import CostModel
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Owner
from snas_nni.errors import SettingError
from snas_nni.resources.latency.design import values_of
from snas_nni.resources.latency.parts import SIZES, Part, Structure

__all__ = ["MOST_PAIRS", "fit_parts"]

Array = NDArray[np.float64]

_STRENGTHS = tuple(10.0**exponent for exponent in np.arange(-4, 2.1, 0.5))
MOST_PAIRS = 40
"""Products of parts in a table at most: a solver has a variable for each."""
_WORTH = 0.9
"""A product of parts is kept if the error on children that are left out falls to this share or below."""


def fit_parts(
    structure: Structure,
    costs: CostModel,
    measured: Sequence[tuple[Mapping[str, Any], float]],
    most_pairs: int = MOST_PAIRS,
) -> dict[Owner, Polynomial]:
    """Return milliseconds as polynomials in Z, by the choice that decides.

    Args:
        structure: the parts of the space.
        costs: what was counted on it.
        measured: NNI samples of children and their milliseconds, above 0; of at least three children.
        most_pairs: how many products of parts may be added.

    Raises:
        SettingError: too few children, or a time that is not above 0.
    """
    if len(measured) < 3:
        raise SettingError(f"a latency table needs at least 3 measured children, not {len(measured)}.")
    samples, times = [sample for sample, _ in measured], np.array([time for _, time in measured])
    if not (np.isfinite(times).all() and times.min() > 0):
        raise SettingError("a latency table needs times above 0 milliseconds; the timer gave others.")
    parts = structure.parts
    rows = values_of(parts, costs, samples)
    known, general = _general(structure, costs, samples, rows, times)
    weights = (1 / times)[:, None]
    wanted = (times - known) / times
    pairs = _pairs(parts, rows, weights, wanted, *_best(rows * weights, wanted), most_pairs)
    columns = np.hstack([rows, *(rows[:, [a]] * rows[:, [b]] for a, b in pairs)]) * weights
    values = _solve(columns, wanted, _best(columns, wanted)[0])
    found: dict[Owner, list[Polynomial]] = defaultdict(list)
    for owner, polynomial in general.items():
        found[owner].append(polynomial)
    for part, value in zip(parts, values, strict=False):
        found[part.owner].append(part.condition * float(value))
    for (a, b), value in zip(pairs, values[len(parts) :], strict=True):
        owner = parts[b].owner or parts[a].owner
        found[owner].append(parts[a].condition * parts[b].condition * float(value))
    return {owner: Polynomial.sum(polynomials) for owner, polynomials in found.items()}


def _general(
    structure: Structure, costs: CostModel, samples: Sequence[Mapping[str, Any]], rows: Array, times: Array
) -> tuple[Array, dict[Owner, Polynomial]]:
    """What a few numbers explain of any network: the time of each child by them, and as polynomials."""
    sums = [Part(None, Polynomial.sum(structure.sizes[name].values())) for name in SIZES]
    counts = values_of(sums, costs, samples)
    columns = np.column_stack([np.ones(len(times)), counts, rows[:, 1:].sum(axis=1)])
    scale = np.maximum(np.abs(columns).mean(axis=0), 1e-300)
    factors, _ = nnls(columns / scale / times[:, None], np.ones(len(times)))
    factors = factors / scale
    found: dict[Owner, list[Polynomial]] = defaultdict(list)
    found[None].append(Polynomial.constant(float(factors[0])))
    for name, factor in zip(SIZES, factors[1:], strict=False):
        for owner, polynomial in structure.sizes[name].items():
            found[owner].append(polynomial * float(factor))
    for part in structure.parts[1:]:
        found[part.owner].append(part.condition * float(factors[-1]))
    return columns @ factors, {owner: Polynomial.sum(each) for owner, each in found.items()}


def _solve(columns: Array, wanted: Array, strength: float) -> Array:
    scale = _scale(columns)
    scaled = columns / scale
    inner = scaled @ scaled.T + strength * np.eye(len(wanted))
    found: Array = scaled.T @ np.linalg.solve(inner, wanted) / scale
    return found


def _best(columns: Array, wanted: Array) -> tuple[float, float]:
    """The strength with the smallest error on children that are left out, and that error."""
    return min(((each, _left_out(columns, wanted, each)) for each in _STRENGTHS), key=lambda found: found[1])


def _left_out(columns: Array, wanted: Array, strength: float) -> float:
    """Root mean square of the errors on children that are left out one at a time."""
    scaled = columns / _scale(columns)
    inverse = np.linalg.inv(scaled @ scaled.T + strength * np.eye(len(wanted)))
    return float(np.sqrt(np.mean((inverse @ wanted / np.diag(inverse)) ** 2)))


def _scale(columns: Array) -> Array:
    return np.maximum(np.sqrt((columns**2).mean(axis=0)), 1e-300)


def _pairs(
    parts: Sequence[Part], rows: Array, weights: Array, wanted: Array, strength: float, error: float, most: int
) -> list[tuple[int, int]]:
    """Products of two parts, each the one that explains most of what is left, while left-out children profit."""
    candidates = [
        (a, b)
        for a in range(1, len(parts))
        for b in range(a + 1, len(parts))
        if (together := int((rows[:, a] * rows[:, b] != 0).sum())) >= 3
        and together < min(int((rows[:, a] != 0).sum()), int((rows[:, b] != 0).sum()))
    ]
    if not candidates:
        return []
    products = np.stack([rows[:, a] * rows[:, b] for a, b in candidates], axis=1) * weights
    products /= _scale(products)
    chosen: list[int] = []
    base = rows * weights / _scale(rows * weights)
    gram = base @ base.T + strength * np.eye(len(wanted))
    while len(chosen) < min(most, len(wanted) // 4):
        inverse = np.linalg.inv(gram)
        # The fall of the ridge's own objective when a column joins, for all of them at once.
        turned = inverse @ products
        gain = (wanted @ turned) ** 2 / (1 + (products * turned).sum(axis=0))
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        gram_with = gram + np.outer(products[:, best], products[:, best])
        inverse = np.linalg.inv(gram_with)
        after = float(np.sqrt(np.mean((inverse @ wanted / np.diag(inverse)) ** 2)))
        if after > _WORTH * error:
            break
        chosen.append(best)
        gram, error = gram_with, after
    return [candidates[each] for each in chosen]
