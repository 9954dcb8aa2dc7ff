"""The measurements: a child trained alone, a search with a budget as a user starts it, and NNI's GumbelDARTS."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch

from benchmarks.budget.spaces import SPACES
from exports.report.metrics_log import MetricsLog
from snas_nni import build_child
from snas_nni.resources import count_child
from trials.bench.searching import search_with, train_on
from trials.cli import main
from trials.data import TaskData, load_data
from trials.data.loaders import evaluation_loader
from trials.progress import Progress
from trials.settings.search import DataSettings, SearchSettings, TrainingSettings
from trials.training.evaluation import evaluate, onnx_predictor

__all__ = ["BATCH_SIZE", "EPOCHS", "INPUT", "gumbel_darts", "search", "train_alone"]

EPOCHS = 30
BATCH_SIZE = 64
LEARNING_RATE = 0.1
INPUT = torch.zeros(1, 1, 8, 8)


@cache
def digits() -> TaskData:
    """The bundled handwritten digits, split as every search splits them."""
    return load_data(DataSettings(), Progress(quiet=True))


def train_alone(space: str, sample: dict[str, Any], seed: int) -> float:
    """Train one child from new weights, as many steps as a search has; return its held-out accuracy in [0, 1]."""
    lightning.seed_everything(seed, workers=True, verbose=False)
    child = build_child(SPACES[space], {}, sample)
    settings = SearchSettings(epochs=EPOCHS, batch_size=BATCH_SIZE)
    return train_on(child, digits(), settings, TrainingSettings(learning_rate=LEARNING_RATE), EPOCHS, seed)


def search(space: str, budget: float, seed: int) -> dict[str, Any]:
    """Run ``snas-nni search`` with a bound on parameters and its defaults otherwise; say what it left.

    Returns:
        ``params`` of the child, its held-out accuracy in ``epoch`` (the last epoch line), in ``summary`` and in
        ``onnx`` (the file, run by ONNX Runtime on the same images), the sample and the exit code.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        code = main(
            [
                "search", f"--space.class_path=benchmarks.budget.spaces.{SPACES[space].__name__}",
                f"--search.epochs={EPOCHS}", f"--search.batch_size={BATCH_SIZE}",
                f"--training.learning_rate={LEARNING_RATE}", f"--resources.max_params={budget}",
                f"--seed={seed}", f"--output={output}", "--quiet",
            ]
        )  # fmt: skip
        if code:
            return {"exit_code": code}
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        architecture = json.loads((output / "architecture.json").read_text(encoding="utf-8"))
        held_out = evaluation_loader(digits(), digits().validation)
        return {
            "exit_code": code,
            "params": summary["parameters"],
            "epoch": MetricsLog.read(output / "metrics.csv").last("val_acc"),
            "summary": summary["metrics"]["validation_accuracy"],
            "onnx": evaluate(onnx_predictor(output / "model.onnx"), held_out).top1.value,
            "sample": architecture["sample"],
            "seconds": summary["metrics"]["seconds"],
        }


def gumbel_darts(space: str, seed: int) -> dict[str, Any]:
    """Search with NNI's GumbelDARTS as it ships, which knows no bound; return its child's sample and parameters."""
    found = search_with(
        "gumbel_darts",
        SPACES[space],
        digits(),
        SearchSettings(epochs=EPOCHS, batch_size=BATCH_SIZE, logits_learning_rate=0.1),
        TrainingSettings(learning_rate=LEARNING_RATE),
        seed,
        1,
        Progress(quiet=True),
    )
    child = build_child(SPACES[space], {}, found.sample)
    return {"params": count_child(child, INPUT)["params"], "network": str(child)}
