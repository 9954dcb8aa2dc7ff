"""How good children are that nobody searched: what a found one has to be better than."""

from __future__ import annotations

import random
from typing import Any

import torch

from snas_nni import SNAS
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.training.evaluation import torch_predictor

__all__ = ["random_children_mean", "uniform_samples"]


def random_children_mean(strategy: SNAS, data: TaskData, device: torch.device, count: int = 5, seed: int = 0) -> float:
    """Return what children drawn uniformly reach on the validation split, with the supernet's weights: their mean.

    Of the candidates that the search was in: without those that a budget excluded.

    Args:
        strategy: after its search.
        data: the splits.
        device: where to run.
        count: how many children, at least 1.
        seed: of their choice; nothing else is drawn.
    """
    distribution = strategy.distribution
    total = 0.0
    for sample in uniform_samples(distribution, count, seed):
        with distribution.use(distribution.one_hot_sample(sample)):
            predict, batches = torch_predictor(strategy.supernet, device), evaluation_loader(data, data.validation)
            total += data.task.evaluate(predict, batches).value
    return total / count


def uniform_samples(distribution: ArchitectureDistribution, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Draw NNI samples uniformly among the candidates that are not excluded.

    Args:
        distribution: of the search.
        count: how many.
        seed: of their choice; nothing else is drawn.
    """
    generator = random.Random(seed)
    samples = []
    for _ in range(count):
        sample: dict[str, Any] = {}
        for label, choice in distribution.choices.items():
            rows, excluded = distribution.rows_of(label), distribution.excluded.get(label, ())
            left = [index for index in range(rows.shape[-1]) if index not in excluded]
            sample[label] = choice.value([left[generator.randrange(len(left))] for _ in range(len(rows))])
        samples.append(sample)
    return samples
