"""How a SNAS step grows with cells, channels, candidates, labels and the batch, and what large spaces ask beside."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed.spaces import Uneven
from benchmarks.speed.training import search
from exports.report import write_report
from snas_nni import SNAS, Budget
from trials.in_python.function import search as search_whole

__all__ = ["fit_line", "growth", "size"]


def growth(job: dict[str, Any]) -> dict[str, Any]:
    """Time steps of the space ``chain`` at one value of what grows.

    Args:
        job: ``axis`` (cells, channels, candidates or batch), its ``value``, the ``base`` of all four, ``batches``.
            The temperature stays at 1 with uniform logits, where nearly all candidates run.

    Returns:
        ``points``: one, ``[value, median seconds of a step, MiB]``.
    """
    numbers = {**job["base"], job["axis"]: job["value"]}
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
    return {"points": [[job["value"], float(np.median(measured["steps"][0][1:])), measured["memory_mib"]]]}


def size(job: dict[str, Any]) -> dict[str, float]:
    """Time what a search does beside its steps, within a budget of half of the dearest child's parameters.

    Args:
        job: ``labels`` and ``candidates`` of the space.

    Returns:
        Seconds of each: making the supernet, counting costs, taking out what no child within the budget has, finding
        the most probable child within it, finding the 8 most probable ones; and of a whole search of two steps with its
        files, and of its report once more.
    """
    arguments = {"labels": job["labels"], "candidates": job["candidates"]}
    torch.manual_seed(0)
    found: dict[str, float] = {}
    strategy = SNAS(seed=0, initial_logits_std=1.0, budget=Budget(params="50%"))
    with _seconds(found, "supernet"):
        strategy.mutate_model(Uneven(**arguments))
    with _seconds(found, "costs"):
        model = strategy.cost_model(torch.zeros(1, 8))
    controller = strategy.budget_controller
    if controller is None:
        raise RuntimeError("a strategy with a budget has a controller")
    with _seconds(found, "budget"):
        controller.prepare(model)
        strategy.distribution.exclude(controller.excluded)
    with _seconds(found, "child"):
        strategy.selection().current()
    with _seconds(found, "8 children"):
        strategy.selection().candidates(8)
    with tempfile.TemporaryDirectory() as folder:
        data = torch.randn(160, 8), torch.arange(160) % 4
        path = Path(folder) / "run"
        with _seconds(found, "whole search"):
            search_whole(
                Uneven,
                data,
                space_arguments=arguments,
                budget={"params": "50%"},
                epochs=1,
                batch_size=48,
                output=path,
                quiet=True,
            )
        with _seconds(found, "report"):
            write_report(path)
    return found


@contextmanager
def _seconds(found: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    found[name] = time.perf_counter() - start


def fit_line(points: list[list[float]]) -> dict[str, float]:
    """Least squares ``y = intercept + slope * value`` of points ``[value, y]``, with R^2."""
    x, y = np.array(points).T
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (intercept + slope * x)
    return {
        "slope": float(slope),
        "intercept": float(intercept),
        "r_squared": float(1 - (residual @ residual) / ((y - y.mean()) @ (y - y.mean()))),
    }
