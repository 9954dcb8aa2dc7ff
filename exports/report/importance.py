"""Which parameters of an experiment mattered: how much worse its results are foretold once one of them is shuffled.

A random forest foretells the trials that it has not seen from their parameters (scikit-learn's; what each parameter
explains is the rise of the error when its values are shuffled among these trials, as a share of the variance of all
results). That is done for many samples of the trials, drawn with replacement: the spread says how sure one can be.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exports.report.numbers import as_number, plain_text

__all__ = [
    "FEWEST_TRIALS",
    "Importance",
    "ImportanceRow",
    "importance_note",
    "importance_row",
    "parameter_importance",
]

FEWEST_TRIALS = 6
SAMPLES, TREES, SHUFFLES = 24, 24, 4
MOST_TRIALS = 2000
CHANCE = 0.05
EXACT = 8
"""Up to so many trials all orders of the results are looked at."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """What one parameter explains.

    Attributes:
        name: of the parameter.
        share: of the variance of the results, the median over the samples; at least 0.
        low: tenth percentile over the samples; below 0 where shuffling helped.
        high: ninetieth percentile.
        rank_correlation: Spearman's, in [-1, 1], of its values with the results; None for values that are no numbers.
        by_chance: how probable it is that one of the parameters has so large a rank correlation, of either sign, by
            chance; 1 for values that are no numbers.
    """

    name: str
    share: float
    low: float
    high: float
    rank_correlation: float | None
    by_chance: float = 1.0

    @property
    def is_shown(self) -> bool:
        """Whether nine of ten samples say that it matters at all, or its order goes with that of the results."""
        return self.low > 0.0 or self.by_chance < CHANCE


def parameter_importance(trials: Sequence[tuple[Mapping[str, Any], float]], seed: int = 0) -> list[Importance]:
    """Return what every parameter explains that has two values at least, the most important first.

    Args:
        trials: parameters and result of each; empty is returned for fewer than :data:`FEWEST_TRIALS`.
        seed: of the samples and forests.
    """
    trials = trials[:MOST_TRIALS]
    names = sorted({name for parameters, _ in trials for name in parameters})
    columns = {name: _ranks([parameters.get(name) for parameters, _ in trials]) for name in names}
    varied = {name: column for name, column in columns.items() if len(np.unique(column)) > 1}
    results = np.array([result for _, result in trials], dtype=np.float64)
    spread = results.std() if len(results) else 0.0
    if len(trials) < FEWEST_TRIALS or not varied or not np.isfinite(spread) or spread == 0:
        return []
    table = np.stack(list(varied.values()), axis=1)
    shares = _sampled_shares(table, (results - results.mean()) / spread, seed)
    low, median, high = np.percentile(shares, (10, 50, 90), axis=0)
    found = [
        Importance(
            name,
            max(0.0, float(median[index])),
            float(low[index]),
            float(high[index]),
            *_correlation([parameters.get(name) for parameters, _ in trials], column, results, len(varied)),
        )
        for index, (name, column) in enumerate(varied.items())
    ]
    return sorted(found, key=lambda each: (-each.share, each.name))


def _ranks(values: Sequence[object]) -> Floats:
    """Numbers by their order, so that their size does not matter; texts by the alphabet."""
    numbers = [as_number(value) for value in values]
    keys = [
        (0, number, "") if number is not None else (1, 0.0, plain_text(value))
        for value, number in zip(values, numbers, strict=True)
    ]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([order[key] for key in keys], dtype=np.float64)


def _sampled_shares(table: Floats, results: Floats, seed: int) -> Floats:
    """Shares of the variance, shape ``(samples, parameters)``."""
    from sklearn.ensemble import RandomForestRegressor  # on demand: most reports need none of it

    generator = np.random.default_rng(seed)
    count, shares = len(results), []
    for sample in range(SAMPLES):
        drawn = generator.integers(0, count, count)
        unseen = np.setdiff1d(np.arange(count), drawn)
        if len(unseen) < 2:
            continue
        forest = RandomForestRegressor(TREES, random_state=sample, n_jobs=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            forest.fit(table[drawn], results[drawn])
        seen_as = [table[unseen]]
        for column in range(table.shape[1]):
            for _ in range(SHUFFLES):
                changed = table[unseen].copy()
                changed[:, column] = generator.permutation(table[:, column])[: len(unseen)]
                seen_as.append(changed)
        # Asked once: a forest takes as long for one row as for many.
        foretold = forest.predict(np.concatenate(seen_as)).reshape(len(seen_as), len(unseen))
        errors = np.mean((foretold - results[unseen]) ** 2, axis=1)
        rises = (errors[1:] - errors[0]).reshape(table.shape[1], SHUFFLES).mean(axis=1)
        shares.append(rises / 2)  # shuffling all that matters doubles the variance
    return np.array(shares) if shares else np.zeros((1, table.shape[1]))


def _correlation(
    values: Sequence[object], column: Floats, results: Floats, parameters: int
) -> tuple[float | None, float]:
    """Spearman's correlation, and how probable it is by chance: exactly for few trials, by its t distribution else."""
    if any(as_number(value) is None for value in values):
        return None, 1.0
    from scipy.stats import rankdata, spearmanr

    found = spearmanr(column, results)
    correlation, chance = float(found.statistic), float(found.pvalue)
    if len(results) <= EXACT:
        one, other = rankdata(column), rankdata(results)
        orders = np.array(list(itertools.permutations(other)))
        products = np.abs((orders - other.mean()) @ (one - one.mean()))
        chance = float(np.mean(products >= abs((other - other.mean()) @ (one - one.mean())) - 1e-9))
    return correlation, min(1.0, parameters * chance)


@dataclass(frozen=True)
class ImportanceRow:
    """What one parameter explains: texts, and the ends of its bar and of its range in percent."""

    name: str
    share: str
    interval: str
    correlation: str
    bar: float
    ends: tuple[float, float]
    is_shown: bool


def importance_row(found: Importance) -> ImportanceRow:
    """Write one row of the table."""
    low, high = max(0.0, min(found.low, 1.0)), max(0.0, min(found.high, 1.0))
    correlation = found.rank_correlation
    return ImportanceRow(
        name=found.name,
        share=f"{100 * found.share:.0f} %",
        interval=f"{100 * low:.0f} to {100 * high:.0f} %",
        correlation="" if correlation is None else f"{correlation:+.2f}",
        bar=100 * min(found.share, 1.0),
        ends=(100 * low, 100 * high),
        is_shown=found.is_shown,
    )


def importance_note(rows: Sequence[ImportanceRow], trials: int) -> str:
    """Say how far the table can be trusted; empty where there is none."""
    if not rows:
        return ""
    shown = [row.name for row in rows if row.is_shown]
    words = f"{trials} trials show that {', '.join(shown)} matter{'s' if len(shown) == 1 else ''}"
    if not shown:
        words = f"{trials} trials do not show that any of these matters: run more of them"
    return (
        f"{words}. Share: of the variance of the results, what a random forest loses on trials that it has not seen "
        "when the parameter is shuffled; the range holds eight of ten samples of the trials. Rank correlation above 0: "
        "more of it goes with better results. A parameter matters if nine of ten samples say so, or if chance gives so "
        f"large a rank correlation less than once in {1 / CHANCE:.0f} times."
    )
