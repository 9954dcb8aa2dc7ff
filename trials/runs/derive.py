"""Other children of a finished search, from the checkpoint that it left: no search is run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import nn

from exports import Architecture
from exports.run_folder import SearchResult
from snas_nni import SNAS, Budget, cost_range
from snas_nni.cost_model import CostModel
from snas_nni.errors import SettingError
from snas_nni.one_shot.evidence.judging import Judged
from snas_nni.resources import Bound, ChildBounds
from snas_nni.resources.latency.table import table_header
from snas_nni.resources.solver.bounds import PEAK, peak_range
from trials.data.loaders import evaluation_loader, held_out_batches, input_example, training_loader
from trials.data.sources import load_data
from trials.data.types import TaskData
from trials.latency.child import TABLE_FILE, ChildClock
from trials.progress import Progress
from trials.runs.components import make_space, restored_strategy, sweep_of
from trials.runs.deployment import accepts, measured_on, predicted_latency
from trials.runs.evidence.evidence_file import write_evidence
from trials.runs.evidence.graph import write_graph
from trials.runs.results import save_child, write_results
from trials.runs.session import facts_of
from trials.runs.teaching.supernet import supernet_distillation
from trials.runs.teaching.teachers import find_distillation
from trials.runs.teaching.tuning import tune
from trials.settings.search import RunSettings
from trials.state.checkpoint_files import newest_usable
from trials.state.output_folder import recorded_settings, write_settings
from trials.training.evaluation import child_costs, child_metrics
from trials.training.trainer import quieten_libraries

__all__ = ["Restored", "budgets_between", "derive_child_of", "make_folder", "restore", "write_child_of"]


@dataclass(frozen=True)
class Restored:
    """A search as it stood at its last checkpoint.

    Attributes:
        folder: of the search.
        settings: of the search.
        data: the splits.
        strategy: with the supernet's weights and the distribution.
        clock: of its latency table; None where it had none.
    """

    folder: Path
    settings: RunSettings
    data: TaskData
    strategy: SNAS
    clock: ChildClock | None = None

    def clock_for(self, bounds: Mapping[str, float]) -> ChildClock | None:
        """Return what times children where latency is bounded; None where it is not, or there is no table."""
        return self.clock if "latency_ms" in bounds else None

    @property
    def trained_epochs(self) -> int:
        """Epochs of the search, or of its child by itself where most of them went there."""
        return max(self.settings.search.epochs, self.settings.tuning.epochs)

    def cost_model(self) -> CostModel:
        """Return what every child of the space costs."""
        return self.strategy.cost_model(input_example(self.data).batch())

    def cost_range(self, cost: str) -> tuple[float, float]:
        """Return what the cheapest and the dearest child cost; of a search for a front, in the range of its bounds."""
        sweep = sweep_of(self.settings.resources)
        if sweep is not None and sweep.cost == cost and sweep.low is not None and sweep.high is not None:
            low, high = cost_range(self.cost_model(), cost)
            return max(low, sweep.low), min(high, sweep.high)
        return peak_range(self.cost_model()) if cost == PEAK else cost_range(self.cost_model(), cost)

    def judge(self, samples: Sequence[Mapping[str, Any]]) -> list[Judged]:
        """Judge children, each with BatchNorm statistics of its own, on the validation split; the best first."""
        return self.strategy.judge(
            samples,
            validation=evaluation_loader(self.data, self.data.validation),
            training=training_loader(
                self.data, self.settings.search.batch_size, self.settings.seed, self.settings.data.workers
            ),
        )

    def tune(self, child: nn.Module, epochs: int, share: float = 0.2) -> None:
        """Train a child on by itself, in place, with the data, the batches and the teacher of the search.

        Args:
            child: with the weights to begin with.
            epochs: at least 1.
            share: of the search's learning rate to begin with, unless its settings say with which.
        """
        settings = self.settings
        teacher = find_distillation(settings.distillation, settings.space, self.data)
        teacher = teacher or supernet_distillation(self.strategy, settings, self.data)
        tune(child, self.data, settings, epochs, teacher, share=share)

    def bound(self, cost: str, bound: Bound) -> float:
        """Return a bound as a number, where it may be a share of the dearest child's cost."""
        return ChildBounds(self.cost_model(), {cost: bound}).bounds[cost]


def restore(folder: Path, settings: RunSettings, progress: Progress) -> Restored:
    """Load a search from its folder.

    Args:
        folder: of the search, with its checkpoints.
        settings: that the search had.
        progress: told when loading data takes long, and which checkpoints cannot be used.

    Raises:
        SettingError: there is no checkpoint that can be used.
        SnasError: the checkpoint is not of a search of this space.
    """
    quieten_libraries()
    path = newest_usable(folder, progress.say)
    if path is None:
        raise SettingError(f"{str(folder)!r} has no checkpoint that can be used; give the folder of a search")
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    data = load_data(settings.data, progress, settings.training.task, settings.evaluator)
    example, table = input_example(data), folder / TABLE_FILE
    clock = ChildClock(table, example, table_header(table)) if table.is_file() else None
    strategy = restored_strategy(settings, data, path, None if clock is None else table, example.batch())
    return Restored(folder, settings, data, strategy, clock)


def budgets_between(low: float, high: float, count: int) -> list[float]:
    """Return ``count`` bounds from ``low`` to ``high``, evenly spread, both included.

    Raises:
        SettingError: ``count`` is below 2.
    """
    if count < 2:
        raise SettingError(f"a sweep needs at least 2 budgets, not {count}")
    return [low + (high - low) * index / (count - 1) for index in range(count)]


def derive_child_of(
    search: Restored,
    bounds: Mapping[str, float],
    output: Path,
    *,
    measured: Mapping[str, float] | None = None,
    candidates: int | None = None,
    tune_epochs: int = 0,
    progress: Progress,
) -> SearchResult:
    """Write the best child within the bounds into a folder of its own, which every verb takes.

    The most probable children within the bounds are compared on held-out data, each with BatchNorm statistics of its
    own; the best one is trained on by itself if that is asked for.

    Args:
        search: that was restored.
        bounds: upper bounds by cost; none for the best of all children.
        output: folder to write into, new or empty.
        measured: upper bounds on what is only measured, by name; the best child within these too is taken.
        candidates: how many children are compared; the search's setting if None.
        tune_epochs: epochs that the child is trained on, at a fifth of the search's learning rate; 0 for none.
        progress: told what was found.

    Raises:
        SettingError: no child of those compared meets the bounds, or the folder is not empty.
    """
    make_folder(output)
    strategy, data, settings = search.strategy, search.data, search.settings
    measured = measured or {}
    sample, child = strategy.derive(
        candidates,
        budget=Budget(**dict[str, Any](bounds), fill=settings.resources.fill) if bounds else None,
        validation=evaluation_loader(data, data.validation),
        training=training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers),
        accept=accepts(
            measured, data, input_example(data), progress, clock=search.clock_for(bounds), budget=lambda: bounds
        ),
    )
    if tune_epochs:
        search.tune(child, tune_epochs)
    return write_child_of(
        search, sample, child, {**bounds, **measured}, output, tune_epochs=tune_epochs, progress=progress
    )


def make_folder(output: Path) -> None:
    """Make the folder of a child.

    Raises:
        SettingError: there is something in it.
    """
    if output.exists() and any(output.iterdir()):
        raise SettingError(f"output: the folder {str(output)!r} is not empty; give another one")
    output.mkdir(parents=True, exist_ok=True)


def write_child_of(
    search: Restored,
    sample: Mapping[str, Any],
    child: nn.Module,
    bounds: Mapping[str, float],
    output: Path,
    *,
    tune_epochs: int = 0,
    progress: Progress,
) -> SearchResult:
    """Write a child of a search into a folder of its own, as a search writes its own.

    Args:
        search: that was restored.
        sample: the child's NNI sample.
        child: as it is to be written.
        bounds: that it was chosen within, by cost or by the name of what is measured.
        output: folder to write into, which is there.
        tune_epochs: epochs that it was trained on by itself.
        progress: told what cannot be counted.
    """
    data, settings = search.data, search.settings
    example = input_example(data)
    given = {f"max_{name}": bound for name, bound in bounds.items()}
    resources = {**asdict(settings.resources), **given}
    settings = replace(settings, resources=type(settings.resources)(**resources), output=None, resume=None)
    architecture = Architecture.create(
        space=make_space(settings.space, data),
        sample=dict(sample),
        child=child,
        probabilities=search.strategy.distribution.probabilities(),
        entropy=search.strategy.distribution.entropies(),
        seed=settings.seed,
        settings=recorded_settings(settings),
        example=example,
    )
    write_settings(output, settings)
    save_child(output, architecture, child)  # before anything that can fail
    write_graph(output, architecture, search.strategy, sample, example, progress)
    metrics = {
        **child_metrics(child, held_out_batches(data), torch.device("cpu"), data.task),
        **child_costs(child.cpu(), example, progress),
        **predicted_latency(search.strategy, sample, search.clock),
    }
    write_evidence(output, child, data)
    summary = {
        "settings": recorded_settings(settings),
        "derived_from": str(search.folder),
        "tune_epochs": tune_epochs,
        **facts_of(data, settings.data),
        **({"latency": search.clock.document()} if search.clock is not None else {}),
    }
    return write_results(
        output,
        replace(architecture, metrics=metrics),
        child,
        example,
        summary,
        measure=lambda file: measured_on(file, data, "int8_loss" in bounds, search.clock),
    )
