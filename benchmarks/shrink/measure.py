"""One run of the comparison: a network made smaller by one method, tuned, and looked at once on the test split."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as lightning
import torch
from torch import nn

from benchmarks.shrink.base import BASE_EPOCHS, base_network, train_from_scratch, weights_of
from benchmarks.shrink.data import images
from benchmarks.shrink.networks import MAKERS
from benchmarks.shrink.peers import LEAST, fastnas, narrower, torch_pruning
from exports import build, load
from snas_nni.resources import count_child
from trials.cli import main
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.runs.teaching.tuning import tune
from trials.training.distillation import Distillation
from trials.training.evaluation import evaluate, torch_predictor
from trials.verbs.shrink import read_shrink_settings

__all__ = ["LEARNING_RATE", "METHODS", "SEARCH_EPOCHS", "TUNE_EPOCHS", "measure", "same_narrower"]

SEARCH_EPOCHS: Final = 1
TUNE_EPOCHS: Final = 5
"""Of this project's child, in the space and by itself; all others tune for both together."""
LEARNING_RATE: Final = 0.05
"""Of every method: at the start of the search, and of each training of a child, on the given weights."""
WIDTHS: Final = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]
METHODS: Final = ("snas-nni", "fastnas", "magnitude", "taylor", "narrower")


def measure(kind: str, cost: str, share: float, method: str, seed: int, path: str, folder: Path) -> dict[str, Any]:
    """Make a trained network smaller, and say what it costs and reaches.

    Args:
        kind: "resnet" or "mobilenet".
        cost: "macs" or "params".
        share: of the given network's cost, in (0, 1); the budget.
        method: one of ``METHODS``, or "given" for the network itself.
        seed: of the given network, and of all that follows.
        path: folder of the images.
        folder: of the given networks' weights.

    Returns:
        ``test`` and ``validation`` accuracy, ``macs`` and ``params`` of the child, ``budget``, ``epochs`` that it was
        trained after the given network, and ``cpu_seconds`` of it all.
    """
    data = images(path)
    given = base_network(kind, seed, folder, data)
    budget = share * _costs(given, data)[cost]
    lightning.seed_everything(seed, workers=True, verbose=False)
    start = time.process_time()
    if method == "given":
        child, epochs = given, 0
    elif method == "snas-nni":
        child, epochs = _shrunk(kind, cost, share, seed, path, weights_of(kind, seed, folder, data))
    elif method == "narrower":
        epochs = BASE_EPOCHS + SEARCH_EPOCHS + TUNE_EPOCHS
        child = train_from_scratch(narrower(kind, cost, budget, data), data, epochs, seed)
    else:
        checkpoint = folder / f"{kind}-{seed}-fastnas.pth"
        prune = partial(fastnas, checkpoint=checkpoint) if method == "fastnas" else partial(torch_pruning, method, True)
        child, epochs = prune(given, cost, budget, data), SEARCH_EPOCHS + TUNE_EPOCHS
        _tune(child, given, data, epochs, seed)
    seconds = time.process_time() - start
    found = {name: evaluate(torch_predictor(child), evaluation_loader(data, getattr(data, name))).top1.value
             for name in ("validation", "test")}  # fmt: skip
    return {**found, **_costs(child, data), "budget": budget, "epochs": epochs, "cpu_seconds": round(seconds, 1)}


def same_narrower(rows: Sequence[dict[str, Any]], key: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The narrower network of another budget, if that of this budget is the same: it needs no second training.

    Args:
        rows: measured already.
        key: of the row that is wanted.
        path: folder of the images.
    """
    data, kind = images(path), key["network"]
    budget = key["share"] * _costs(MAKERS[kind](), data)[key["cost"]]
    costs = _costs(narrower(kind, key["cost"], budget, data), data)
    wanted = {"network": kind, "method": "narrower", "seed": key["seed"], **costs}
    found = next((row for row in rows if wanted.items() <= row.items()), None)
    if found is None:
        return None
    return {**{name: value for name, value in found.items() if name not in key}, "budget": budget}


def _costs(network: nn.Module, data: TaskData) -> dict[str, float]:
    costs = count_child(network, torch.zeros(1, *data.input_shape))
    return {name: costs[name] for name in ("macs", "params")}


def _arguments(kind: str, seed: int, path: str, weights: str) -> list[str]:
    return [
        f"--model=benchmarks.shrink.networks.{kind}", f"--weights={weights}", f"--seed={seed}",
        "--data.source=benchmarks.shrink.data.images", f"--data.options={json.dumps({'path': path})}",
        f"--search.epochs={SEARCH_EPOCHS}", "--search.batch_size=128", f"--tune-epochs={TUNE_EPOCHS}",
        f"--training.learning_rate={LEARNING_RATE}", f"--tuning.learning_rate={LEARNING_RATE}",
        f"--space.init_args.min_channels={LEAST}", f"--space.init_args.widths={json.dumps(WIDTHS)}", "--quiet",
    ]  # fmt: skip


def _shrunk(kind: str, cost: str, share: float, seed: int, path: str, weights: Path) -> tuple[nn.Module, int]:
    """Run ``snas-nni shrink``."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        words = ["shrink", *_arguments(kind, seed, path, str(weights)), f"--max-{cost}={share:.0%}"]
        if code := main([*words, f"--output={output}"]):
            raise RuntimeError(f"snas-nni shrink ended with exit code {code}")
        child = build(
            load(output / "architecture.json"), spaces=["search_spaces.FromModel", f"benchmarks.shrink.networks.{kind}"]
        )
    return child, SEARCH_EPOCHS + TUNE_EPOCHS


def _tune(child: nn.Module, given: nn.Module, data: TaskData, epochs: int, seed: int) -> None:
    """Train a peer's child as the command trains this project's: the same batches, and the given network as teacher."""
    settings = read_shrink_settings(_arguments("resnet", seed, "", ""))
    teaching = settings.distillation
    teacher = Distillation(given.requires_grad_(False), teaching.weight, teaching.temperature)
    tune(child, data, settings, epochs, teacher)
