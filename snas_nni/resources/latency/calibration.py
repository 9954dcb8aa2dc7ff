"""How well a table predicts children that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import spearmanr

__all__ = ["Calibration", "calibration_of"]


@dataclass(frozen=True)
class Calibration:
    """Predicted against measured milliseconds of whole children.

    Attributes:
        children: how many.
        spearman: rank correlation, in [-1, 1]; NaN where all are equal.
        median_error: median of the relative error, a share of the measured time.
        p90_error: its 90th percentile.
    """

    children: int
    spearman: float
    median_error: float
    p90_error: float

    def as_document(self) -> dict[str, float]:
        """Return plain values for a JSON file."""
        return {name: value for name, value in asdict(self).items() if value == value}  # JSON has no NaN

    def __str__(self) -> str:
        return (
            f"{self.children} children that it was not fitted to: Spearman {self.spearman:.3f}, error "
            f"{100 * self.median_error:.1f} % (median), {100 * self.p90_error:.1f} % (90th percentile)"
        )


def calibration_of(predicted: Sequence[float], measured: Sequence[float]) -> Calibration:
    """Compare predictions with measurements, of at least two children each; both in milliseconds, in one order."""
    guess, truth = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    errors = np.abs(guess - truth) / truth
    differ = len(set(guess.tolist())) > 1 and len(set(truth.tolist())) > 1
    correlation = float(spearmanr(guess, truth).statistic) if differ else float("nan")
    return Calibration(len(truth), correlation, float(np.median(errors)), float(np.quantile(errors, 0.9)))
