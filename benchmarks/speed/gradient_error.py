"""How far the gradient of the logits is from the exact one when candidates of small weight do not run."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.training import snas_supernet
from snas_nni import SNAS
from snas_nni.distribution.sample import Sample

__all__ = ["gradient_error"]


def gradient_error(job: dict[str, Any]) -> dict[str, Any]:
    """Compare gradients of the same sample on the same images, with and without skipping.

    Args:
        job: ``space``, its ``arguments``, ``logits``, ``batch``, ``temperatures``, ``draws`` of each, ``tolerances``.

    Returns:
        ``rows``: one for each temperature, draw and tolerance, with ``error`` (norm over all logits of the difference,
        divided by that of the exact gradient), ``seconds`` of the approximate step and ``exact_seconds``.
    """
    strategy = snas_supernet(job["space"], job["logits"], **job.get("arguments", {}))
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(job["batch"], 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (job["batch"],), generator=generator)
    rows = []
    for temperature in job["temperatures"]:
        for draw in range(job["draws"]):
            sample = strategy.distribution.draw(temperature)
            exact, exact_seconds = _gradient(strategy, sample, images, labels, 0.0)
            for tolerance in job["tolerances"]:
                near, seconds = _gradient(strategy, sample, images, labels, tolerance)
                rows.append(
                    {
                        "temperature": temperature,
                        "draw": draw,
                        "tolerance": tolerance,
                        "error": float((near - exact).norm() / exact.norm()),
                        "seconds": seconds,
                        "exact_seconds": exact_seconds,
                    }
                )
    return {"rows": rows}


def _gradient(strategy: SNAS, sample: Sample, images: Tensor, labels: Tensor, tolerance: float) -> tuple[Tensor, float]:
    """Gradient of all logits, flat, and the CPU seconds that it took."""
    distribution = strategy.distribution
    distribution.current.skip_tolerance = tolerance
    weights = list(strategy._mutated.parameters())
    logits = list(distribution.parameters())
    start = time.process_time()
    with distribution.use(sample):
        loss = nn.functional.cross_entropy(strategy._mutated(images), labels)
    found = torch.autograd.grad(loss, [*logits, *weights], retain_graph=True, allow_unused=True)
    seconds = time.process_time() - start
    flat = [torch.zeros_like(a) if g is None else g for a, g in zip(logits, found, strict=False)]
    return torch.cat([g.reshape(-1) for g in flat]), seconds
