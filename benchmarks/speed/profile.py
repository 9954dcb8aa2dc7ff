"""Where the time of a step goes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity

from benchmarks.speed.training import snas_supernet

__all__ = ["profile"]

ROWS = 12


def profile(job: dict[str, Any]) -> dict[str, Any]:
    """Profile forward and backward of a few steps.

    Args:
        job: ``space``, its ``arguments``, ``logits``, ``temperature``, ``batch``, ``batches``.

    Returns:
        ``rows``: the operations that take longest, with ``operation``, ``share`` of all CPU time and ``calls`` a step.
    """
    strategy = snas_supernet(job["space"], job["logits"], **job.get("arguments", {}))
    images = torch.randn(job["batch"], 3, 32, 32, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(job["batch"]) % 10

    def step() -> None:
        with strategy.distribution.use(strategy.distribution.draw(job["temperature"])):
            torch.autograd.backward(nn.functional.cross_entropy(strategy._mutated(images), labels))

    step()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as measured:
        for _ in range(job["batches"]):
            step()
    events = sorted(measured.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return {
        "rows": [
            {
                "operation": event.key,
                "share": event.self_cpu_time_total / total,
                "calls": event.count / job["batches"],
            }
            for event in events[:ROWS]
        ]
    }
