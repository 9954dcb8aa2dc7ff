"""Eight budgets from one search, beside eight searches: what each child reaches, and the processor time of all of it.

Time counts from the settings to the trained children, their comparison and validation included. Writing files is left
out of both: exporting a network takes as long whoever found it.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace

from benchmarks.budget.measure import BATCH_SIZE, EPOCHS, INPUT, LEARNING_RATE, digits
from benchmarks.budget.spaces import SPACES, children_of
from snas_nni import SNAS
from trials.data.loaders import evaluation_loader, training_loader
from trials.progress import Progress
from trials.runs.components import make_strategy
from trials.runs.derive import Restored, budgets_between
from trials.runs.front.children import default_tune_epochs, front_children
from trials.settings.search import ResourceSettings, RunSettings, SearchSettings, SpaceSettings, TrainingSettings
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.modules import training_module
from trials.training.trainer import SILENT, quieten_libraries

__all__ = ["BUDGETS", "budgets_of", "front", "one_budget"]

BUDGETS = 8
SEARCH_EPOCHS = EPOCHS * 2 // 3
"""Of the one search: as long as each of the others searches before it settles; tuning is in place of settling."""


@cache
def budgets_of(space: str) -> list[float]:
    """The budgets in parameters, evenly spread from the cheapest child to the dearest."""
    children = children_of(SPACES[space], INPUT)
    low, high = (edge["costs"]["params"] for edge in (children[0], children[-1]))
    return budgets_between(low, high, BUDGETS)


def front(space: str, seed: int) -> dict[str, Any]:
    """Search once for every budget in parameters, and take the children of eight of them.

    Returns:
        ``points``, by budget: ``budget``, ``params`` and held-out ``accuracy`` of its child; ``cpu`` in seconds;
        ``epochs`` of the search and of all tuning.
    """
    start = time.process_time()
    settings = _settings(space, seed, SEARCH_EPOCHS, sweep="params")
    restored = Restored(Path(space), settings, digits(), _searched(settings))
    budgets = budgets_of(space)
    children = front_children(
        restored,
        "params",
        budgets,
        bounds={},
        measured={},
        tune_epochs=default_tune_epochs(SEARCH_EPOCHS),
        progress=Progress(quiet=True),
    )
    cpu = time.process_time() - start
    points = [
        {"budget": budget, "params": each.cost, "accuracy": each.reached}
        for budget, each in zip(budgets, children, strict=True)
    ]
    tuned = sum(each.tune_epochs for each in {id(each): each for each in children}.values())
    return {"points": points, "cpu": round(cpu, 2), "epochs": SEARCH_EPOCHS + tuned}


def one_budget(space: str, budget: float, seed: int) -> dict[str, Any]:
    """Search with one budget in parameters; ``params`` and held-out ``accuracy`` of the child, ``cpu`` in seconds."""
    start = time.process_time()
    strategy = _searched(_settings(space, seed, EPOCHS, max_params=budget))
    sample, child = strategy.derive()
    cpu = time.process_time() - start
    held_out = evaluation_loader(digits(), digits().validation)
    accuracy = evaluate(torch_predictor(child, torch.device("cpu")), held_out).top1.value
    return {"params": strategy.cost_model().of(sample)["params"], "accuracy": accuracy, "cpu": round(cpu, 2)}


def _searched(settings: RunSettings) -> SNAS:
    quieten_libraries()
    data, epochs = digits(), settings.search.epochs
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    strategy = make_strategy(settings)
    evaluator: Any = Lightning(
        training_module(data, settings.training),
        Trainer(max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, **SILENT),
        train_dataloaders=training_loader(data, settings.search.batch_size, settings.seed),
        val_dataloaders=evaluation_loader(data, data.validation),
    )
    space = SPACES[settings.space.class_path]()
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    return strategy


def _settings(space: str, seed: int, epochs: int, **resources: Any) -> RunSettings:
    return RunSettings(
        seed=seed,
        space=SpaceSettings(class_path=space),
        search=SearchSettings(epochs=epochs, batch_size=BATCH_SIZE),
        training=TrainingSettings(learning_rate=LEARNING_RATE),
        resources=ResourceSettings(**resources),
        quiet=True,
    )
