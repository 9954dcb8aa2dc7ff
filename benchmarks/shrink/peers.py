"""Other ways to make a trained network smaller: NVIDIA Model Optimizer, torch-pruning, and a narrower network."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.shrink.networks import MAKERS
from snas_nni.resources import count_child
from trials.bench.recalibration import recalibrated
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.types import TaskData
from trials.training.evaluation import evaluate, torch_predictor

__all__ = ["INSTALL", "fastnas", "narrower", "torch_pruning"]

INSTALL = (
    "pip install --no-deps nvidia-modelopt==0.47.0 torch-pruning==1.6.1 torchprofile==0.0.4 pulp==3.3.2 "
    "pydantic pydantic-core annotated-types typing-inspection regex omegaconf antlr4-python3-runtime"
)
LEAST = 2
"""Fewest channels of a layer, and what their number is a multiple of, for every method."""
BATCHES = 20
"""Training batches for gradients and BatchNorm statistics."""
_BATCH_SIZE = 128


def fastnas(given: nn.Module, cost: str, budget: float, data: TaskData, checkpoint: Path) -> nn.Module:
    """Prune with Model Optimizer's FastNAS: a map of sensitivities on held-out images, then a threshold for all layers.

    Its widths are multiples of 32 as it ships, which these networks have not; here they are multiples of 2.

    Args:
        given: the trained network.
        cost: "macs" or "params".
        budget: upper bound on that cost.
        data: held-out images are what it scores on, training images what it measures BatchNorm statistics on.
        checkpoint: file of the sensitivities, which are measured once for all budgets of a network, as it can.
    """
    import modelopt.torch.opt as opt
    import modelopt.torch.prune as prune

    rules = {
        **{kind: {"*": {"channel_divisor": LEAST}} for kind in ("nn.Conv2d",)},
        **{kind: {"*": {"feature_divisor": LEAST}} for kind in ("nn.BatchNorm2d", "nn.Linear")},
    }

    def score(network: nn.Module) -> float:
        return evaluate(torch_predictor(network), evaluation_loader(data, data.validation)).top1.value

    def within(bound: float) -> nn.Module:
        child, _ = prune.prune(
            copy.deepcopy(given),
            mode=[("fastnas", rules)],
            # It counts a multiplication and an addition as two.
            constraints={"flops": 2 * bound} if cost == "macs" else {"params": bound},
            dummy_input=_example(data),
            config={
                "data_loader": training_loader(data, _BATCH_SIZE, 0),
                "score_func": score,
                "collect_func": lambda batch: batch[0],
                "max_iter_data_loader": BATCHES,
                "checkpoint": str(checkpoint),
                "verbose": False,
            },
        )
        opt.ModeloptStateManager.remove_state(child)
        return child

    # Its own count of a child can be a few percent below what is counted here: then it is asked for a little less.
    for share in range(100, 70, -2):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            child = within(share / 100 * budget)
        if count_child(child, _example(data))[cost] <= budget:
            return child
    raise ValueError(f"Model Optimizer finds no child within {budget} {cost}")


def torch_pruning(
    measure: str, everywhere: bool, given: nn.Module, cost: str, budget: float, data: TaskData
) -> nn.Module:
    """Prune groups of channels with torch-pruning, with the smallest ratio that the budget allows.

    Args:
        measure: "magnitude" or "taylor", of gradients on training images.
        everywhere: whether channels of all layers are compared with one another, or a layer's among themselves.
        given: the trained network.
        cost: "macs" or "params".
        budget: upper bound on that cost.
        data: the splits.
    """
    gradients = _gradients(given, data) if measure == "taylor" else {}
    low, high, best = 0.0, 1.0, None
    for _ in range(9):  # to 0.2 % of the channels
        ratio = (low + high) / 2
        child = _pruned(measure, everywhere, ratio, given, data, gradients)
        if count_child(child, _example(data))[cost] <= budget:
            high, best = ratio, child
        else:
            low = ratio
    if best is None:
        raise ValueError(f"torch-pruning finds no child within {budget} {cost}")
    return recalibrated(best, _batches(data))


def _gradients(given: nn.Module, data: TaskData) -> dict[str, torch.Tensor | None]:
    """Sums over some training batches, by the names of parameters."""
    network = copy.deepcopy(given).eval()
    for inputs, labels in _batches(data):
        functional.cross_entropy(network(inputs), labels).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def _pruned(
    measure: str,
    everywhere: bool,
    ratio: float,
    given: nn.Module,
    data: TaskData,
    gradients: dict[str, torch.Tensor | None],
) -> nn.Module:
    import torch_pruning as tp

    network = copy.deepcopy(given).eval()
    for name, parameter in network.named_parameters():
        parameter.grad = gradients.get(name)
    importance = (
        tp.importance.GroupTaylorImportance() if measure == "taylor" else tp.importance.GroupMagnitudeImportance()
    )
    pruner = tp.pruner.BasePruner(
        network,
        _example(data),
        importance=importance,
        global_pruning=everywhere,
        pruning_ratio=ratio,
        max_pruning_ratio=0.9,
        ignored_layers=[network.head],
        round_to=LEAST,
    )
    pruner.step()
    network.zero_grad()
    return network


def narrower(kind: str, cost: str, budget: float, data: TaskData) -> nn.Module:
    """Return the widest network of a kind within the budget, with random weights; every width is scaled alike."""
    make: Callable[[int], nn.Module] = MAKERS[kind]
    width = 1
    while count_child(make(width + 1), _example(data))[cost] <= budget:
        width += 1
    return make(width)


def _example(data: TaskData) -> torch.Tensor:
    return torch.zeros(1, *data.input_shape)


def _batches(data: TaskData) -> Any:
    """Some training batches, the same each time."""
    loader = training_loader(data, _BATCH_SIZE, 0)
    return [batch for _, batch in zip(range(BATCHES), loader, strict=False)]
