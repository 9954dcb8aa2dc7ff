"""A SNAS step in a plain PyTorch loop: what Lightning and the strategy's bookkeeping are measured against."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from benchmarks.speed.timing import MemoryPeak
from benchmarks.speed.training import snas_supernet
from snas_nni.one_shot.learning_rate import derived_learning_rate

__all__ = ["bare_loop"]


def bare_loop(job: dict[str, Any]) -> dict[str, Any]:
    """Draw, forward, backward, clip, both steps, at the temperatures that the strategy would have.

    Args:
        job: as for :func:`benchmarks.speed.training.search`.
    """
    strategy = snas_supernet(job["space"], job["logits"], **job.get("arguments", {}))
    supernet, distribution, settings = strategy._mutated, strategy.distribution, strategy.settings
    weights = list(supernet.parameters())
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    logits_optimizer = torch.optim.Adam(
        distribution.parameters(),
        lr=settings.logits_learning_rate or derived_learning_rate(job["epochs"] * job["batches"]),
        betas=settings.logits_betas,
        weight_decay=settings.logits_weight_decay,
    )
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(job["batches"], job["batch"], 3, 32, 32, generator=generator)
    labels = torch.randint(10, (job["batches"], job["batch"]), generator=generator)
    steps: list[list[float]] = []
    memory = MemoryPeak()
    memory.start()
    for epoch in range(job["epochs"]):
        temperature = settings.temperature((epoch + 1) / job["epochs"])
        steps.append([])
        for x, y in zip(images, labels, strict=True):
            start = time.perf_counter()
            with distribution.use(distribution.draw(temperature)):
                output = supernet(x.contiguous(memory_format=torch.channels_last))
                loss = nn.functional.cross_entropy(output, y)
                torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(weights, settings.weights_gradient_clip or torch.inf)
            nn.utils.clip_grad_norm_(distribution.parameters(), settings.logits_gradient_clip or torch.inf)
            optimizer.step()
            logits_optimizer.step()
            optimizer.zero_grad()
            logits_optimizer.zero_grad()
            steps[-1].append(time.perf_counter() - start)
    return {"steps": steps, "intervals": [epoch[1:] for epoch in steps], "memory_mib": memory.above_start()}
