"""``python -m benchmarks.budget``: does the child meet its budget? SNAS and NNI's GumbelDARTS on digits.

Three seeds and five parameter budgets between the cheapest and the dearest child. Writes ``docs/results/budget.json``
after every run (and goes on from it when started again), then the table and the plot beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's own strategies
import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.oneshot.pytorch.strategy import GumbelDARTS
from nni.nas.profiler.pytorch.flops import NumParamsProfiler
from nni.nas.profiler.pytorch.utils.shape_formula import (
    find_shape_inference_formula,
    maxpool2d_formula,
    register_shape_inference_formula,
)
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Callback
from torch import nn

from benchmarks.budget_report import table, write_plot
from search_spaces import SnasCellSpace
from search_spaces.operations import Zero
from search_spaces.shared import SharedAvgPool, SharedMaxPool
from snas_nni import SNAS, Budget
from snas_nni.files import write_atomically
from snas_nni.resources import cost_range, count_child
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data
from trials.data.types import ClassificationData
from trials.progress import Progress
from trials.settings.search import DataSettings
from trials.training.classifier import ClassificationTraining
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.trainer import SILENT

ROOT = Path(__file__).parents[1]
SEEDS = (0, 1, 2)
FRACTIONS = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Of the range between the cheapest and the dearest child."""
EPOCHS = 15


class History(Callback):
    """Keeps the budget's metrics of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep an epoch."""
        kept = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("budget/")}
        self.epochs.append(kept)


def make_space() -> SnasCellSpace:
    """The space that is searched."""
    return SnasCellSpace(channels=8, cells=3, nodes=2, in_channels=1, classes=10)


def make_evaluator(data: ClassificationData, seed: int, epochs: int, callbacks: list[Callback]) -> Lightning:
    """The same training for both methods."""
    trainer = Trainer(
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        **SILENT,
        callbacks=callbacks,
        accelerator="cpu",
    )
    return Lightning(
        ClassificationTraining(classes=10, learning_rate=0.05),
        trainer,
        train_dataloaders=training_loader(data, 64, seed),
        val_dataloaders=evaluation_loader(data, data.validation),
    )


def search(strategy: Any, evaluator: Lightning) -> Any:
    """Run a strategy as NasExperiment does, without its folder."""
    strategy.initialize(RawFormatModelSpace(make_space(), evaluator), SequentialExecutionEngine())
    strategy.run()
    return strategy


def run_snas(data: ClassificationData, seed: int, budget: float, epochs: int) -> dict[str, Any]:
    """One search with a budget."""
    lightning.seed_everything(seed, verbose=False)
    history = History()
    strategy = SNAS(budget=Budget(params=budget), logits_learning_rate=0.1, seed=seed)
    search(strategy, make_evaluator(data, seed, epochs, [history]))
    _, child = strategy.derive()
    report = strategy.budget_report
    accuracy = evaluate(torch_predictor(child), evaluation_loader(data, data.test)).top1.value
    cost = count_child(child, torch.zeros(1, 1, 8, 8))["params"]
    return {
        "seed": seed,
        "budget": budget,
        "child_cost": cost,
        "expected_cost": report.expected_costs["params"],
        "child_accuracy": accuracy,
        "within": cost <= budget,
        "binding": strategy.budget_controller.binding["params"],
        "mode_cost": report.mode_costs["params"],
        "log_probability_given_up": report.log_probability_given_up,
        "history": history.epochs,
    }


def run_peer(data: ClassificationData, seed: int, budget: float, epochs: int, penalised: bool) -> dict[str, Any]:
    """One search with NNI's GumbelDARTS as it ships; with its own penalty, or without where that cannot run."""
    lightning.seed_everything(seed, verbose=False)
    penalty = None
    if penalised:
        profiler = NumParamsProfiler(make_space(), torch.zeros(1, 1, 8, 8))
        penalty = {"profiler": profiler, "baseline": budget, "scale": 1.0, "nonlinear": "positive"}
    strategy = GumbelDARTS(
        temperature={"init": 1.0, "min": 0.03}, arc_learning_rate=0.1, gradient_clip_val=5.0, penalty=penalty
    )
    search(strategy, make_evaluator(data, seed, epochs, []))
    sample = strategy.oneshot_module.export()
    child = strategy.supernet.freeze(sample)  # NNI's own derivation
    accuracy = evaluate(torch_predictor(child), evaluation_loader(data, data.test)).top1.value
    cost = count_child(child, torch.zeros(1, 1, 8, 8))["params"]
    return {"child_cost": cost, "child_accuracy": accuracy}


def teach_profiler() -> None:
    """Tell NNI's profiler about the modules of this space, which it looks up by their exact type."""
    parents = {SharedMaxPool: nn.MaxPool2d(3), SharedAvgPool: nn.AvgPool2d(3)}
    for own, parent in parents.items():
        register_shape_inference_formula(own, find_shape_inference_formula(parent))
    register_shape_inference_formula(Zero, _zero_shape)


def _zero_shape(module: Zero, x: Any) -> Any:
    # A pooling with a window of one pixel has the shape of the zero operation.
    return maxpool2d_formula(nn.MaxPool2d(1, module.stride), x)


def main() -> int:
    """Run what the result file does not have yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--fractions", type=float, nargs="+", default=list(FRACTIONS))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    data = load_data(DataSettings(), Progress(quiet=True))
    strategy = SNAS(seed=0)
    strategy.mutate_model(make_space())
    low, high = cost_range(strategy.cost_model(torch.zeros(1, 1, 8, 8)), "params")
    budgets = [float(round(low + fraction * (high - low))) for fraction in arguments.fractions]
    path = arguments.output / "budget.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"runs": [], "peer": []}
    document |= {
        "command": "python -m benchmarks.budget " + shlex.join(sys.argv[1:]),
        "cheapest": low,
        "dearest": high,
        "epochs": arguments.epochs,
    }
    have = {(run["seed"], run["budget"]) for run in document["runs"]}
    due = [(seed, budget) for seed in arguments.seeds for budget in budgets if (seed, budget) not in have]
    start = time.monotonic()
    for number, (seed, budget) in enumerate(due):
        document["runs"].append(run_snas(data, seed, budget, arguments.epochs))
        save(path, document)
        left = (time.monotonic() - start) / (number + 1) * (len(due) - number - 1)
        print(f"seed {seed}, budget {budget:,.0f}: {document['runs'][-1]['child_cost']:,.0f}; {left:.0f} s left")
    add_peer(data, document, arguments.seeds, budgets, arguments.epochs, path)
    path.with_suffix(".md").write_text(table(document), encoding="utf-8")
    write_plot(document, path.with_suffix(".png"))
    print(table(document))
    return 0


def add_peer(
    data: ClassificationData, document: dict[str, Any], seeds: list[int], budgets: list[float], epochs: int, path: Path
) -> None:
    """Add NNI's GumbelDARTS with its own parameter penalty, or without it where it cannot run.

    The penalty sends no gradient to the logits. Each seed is run at its first and its last budget; where both give the
    same child, that child stands beside the budgets between them too.
    """
    teach_profiler()
    if "peer_penalty_error" not in document:
        try:
            run_peer(data, seeds[0], budgets[0], 1, penalised=True)
            document["peer_penalty_error"] = None
        except Exception as error:  # whatever the peer raises is the result
            last = traceback.extract_tb(error.__traceback__)[-1]
            document["peer_penalty_error"] = f"{type(error).__name__} in {last.name}: {str(error).splitlines()[0]}"
        save(path, document)
    penalised = document["peer_penalty_error"] is None
    for seed in seeds:
        for budget in [budgets[0], *budgets[::-1][:-1]]:
            if any(run["seed"] == seed and run["budget"] == budget for run in document["peer"]):
                continue
            ran = [run for run in document["peer"] if run["seed"] == seed and not run["copied"]]
            children = {(run["child_cost"], run["child_accuracy"]) for run in ran}
            copied = len(ran) == 2 and len(children) == 1
            found = (
                {key: ran[0][key] for key in ("child_cost", "child_accuracy")}
                if copied
                else run_peer(data, seed, budget, epochs, penalised)
            )
            within = found["child_cost"] <= budget
            document["peer"].append(
                {"seed": seed, "budget": budget, **found, "within": within, "penalised": penalised, "copied": copied}
            )
            save(path, document)
            print(f"GumbelDARTS seed {seed}, budget {budget:,.0f}: {found['child_cost']:,.0f}")


def save(path: Path, document: dict[str, Any]) -> None:
    """Replace the result file in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
