"""How a SNAS step grows with the cells, the channels, the candidates and the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.speed.training import search

__all__ = ["fit_line", "growth"]


def growth(job: dict[str, Any]) -> dict[str, Any]:
    """Time steps of the space ``chain`` while one number grows and the others stay.

    Args:
        job: ``axis`` (cells, channels, candidates or batch), its ``values``, the ``base`` of all four, ``batches``.
            The temperature stays at 1 with uniform logits, where nearly all candidates run.

    Returns:
        ``points``: ``[value, median seconds per step]`` each.
    """
    points = []
    for value in job["values"]:
        numbers = {**job["base"], job["axis"]: value}
        batch = numbers.pop("batch")
        measured = search(
            {
                "strategy": "snas",
                "options": {"final_temperature": 1.0, "skip_tolerance": 0.0},
                "space": "chain",
                "arguments": numbers,
                "logits": "uniform",
                "epochs": 1,
                "batches": job["batches"],
                "batch": batch,
            }
        )
        points.append([value, float(np.median(measured["steps"][0][1:]))])
    return {"points": points}


def fit_line(points: list[list[float]]) -> dict[str, float]:
    """Least squares ``seconds = intercept + slope * value``, with R^2."""
    x, y = np.array(points).T
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (intercept + slope * x)
    return {
        "slope": float(slope),
        "intercept": float(intercept),
        "r_squared": float(1 - (residual @ residual) / ((y - y.mean()) @ (y - y.mean()))),
    }
