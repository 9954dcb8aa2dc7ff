"""One search run, from settings to a child on disk."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies
import pytorch_lightning as lightning
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig

from exports import Architecture
from exports.run_folder import SearchResult, read_result
from snas_nni import SNAS
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data
from trials.data.types import ClassificationData
from trials.progress import Progress, readable_duration
from trials.runs.components import make_space, make_strategy
from trials.runs.results import final_numbers, write_results
from trials.settings.search import RunSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.state.checkpoint_files import batches_done, epochs_done
from trials.state.ddp_workers import lead_to_follow, leading, open_or_follow
from trials.state.failures import failures_explained
from trials.state.nni_trial import NniTrial
from trials.state.output_folder import OutputFolder, recorded_settings
from trials.state.signals import Stopping
from trials.training.callbacks import EpochReport
from trials.training.classifier import ClassificationTraining, accuracy_and_loss
from trials.training.evaluation import child_costs
from trials.training.trainer import make_trainer, quieten_libraries

__all__ = ["run_search"]


def run_search(settings: RunSettings, trial: NniTrial | None = None) -> SearchResult | None:
    """Search, derive the child, evaluate it and write it; or go on with a search that was cut off.

    Args:
        settings: of the run.
        trial: the NNI trial to report to; None outside an experiment.

    Returns:
        The result; None in the processes that train beside the first one.

    Raises:
        SnasError: a setting, the data, the space or an output file is not as it must be; the loss is not finite.
        StoppedError: a signal asked for it. There is a checkpoint then, if training had begun.
    """
    quieten_libraries()
    lead = lead_to_follow()
    progress = Progress(settings.quiet or lead is not None)
    with Stopping() as stopping, open_or_follow(settings, trial, lead, progress) as output:
        if lead is not None:
            _search(settings, output, None, stopping, progress)
            return None
        if trial is not None:
            trial.resume_at(epochs_done(output.checkpoint))
        if output.finished and trial is not None:
            result = read_result(output.path)
        else:
            with failures_explained(output.path):
                found = _search(settings, output, trial, stopping, progress)
            if found is None:
                return None
            result = found
        if trial is not None:
            trial.report_final(final_numbers(result))
        return result


def _search(
    settings: RunSettings, output: OutputFolder, trial: NniTrial | None, stopping: Stopping, progress: Progress
) -> SearchResult | None:
    start = time.monotonic()
    progress.say(f"results go to {output.path}")
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    data = load_data(settings.data, progress)
    progress.say(f"data: {settings.data.source}, {data.in_words}")
    space = make_space(settings.space, data)
    strategy = make_strategy(settings)
    checkpoints = Checkpoints(output.path, settings.checkpoint.keep, settings.checkpoint.every_steps, stopping)
    callbacks = [EpochReport(progress, trial), checkpoints]
    from_step = batches_done(output.checkpoint)
    trainer = make_trainer(Trainer, settings, output.path, from_step, callbacks, max_epochs=settings.search.epochs)
    evaluator = Lightning(
        ClassificationTraining(classes=data.classes, **asdict(settings.training)),
        trainer,
        train_dataloaders=training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers),
        val_dataloaders=evaluation_loader(data, data.validation, settings.data.workers),
        fit_kwargs={"ckpt_path": output.checkpoint} if output.checkpoint else {},
    )
    with leading(output):
        _run_experiment(space, evaluator, strategy)
    if not trainer.is_global_zero:
        return None
    seconds = checkpoints.seconds_before + time.monotonic() - start

    sample, child = strategy.derive()
    if strategy.budget_report is not None:
        progress.say(str(strategy.budget_report))
    metrics = {
        **_search_metrics(checkpoints.table.last),
        **_child_metrics(child, data, trainer),
        **child_costs(child.cpu(), data.input_shape, progress),
        "seconds": seconds,
    }
    architecture = Architecture.create(
        space=space,
        sample=sample,
        child=child,
        probabilities=strategy.distribution.probabilities(),
        entropy=strategy.distribution.entropies(),
        seed=settings.seed,
        settings=recorded_settings(settings),
        metrics=metrics,
    )
    summary = {
        "settings": recorded_settings(settings),
        "tuned": trial.parameters if trial is not None else {},
        "class_names": list(data.class_names),
        "input_shape": list(data.input_shape),
        "normalisation": asdict(data.normalisation) if data.normalisation else None,
    }
    result = write_results(output.path, architecture, child, data.input_shape, summary)
    progress.say(
        f"child: {metrics['validation_accuracy']:.1%} validation and {metrics['test_accuracy']:.1%} test accuracy, "
        f"{result.parameters:,} parameters; searched in {readable_duration(seconds)}"
    )
    return result


def _run_experiment(space: Any, evaluator: Any, strategy: SNAS) -> None:
    config = NasExperimentConfig.default(space, evaluator, strategy)
    experiment = NasExperiment(space, evaluator, strategy, config)
    try:
        experiment.run()
    finally:
        experiment.stop()


def _search_metrics(last: dict[str, float]) -> dict[str, float]:
    """Pick the supernet's metrics from the last epoch's row."""
    names = {
        "val_acc": "supernet_validation_accuracy",
        "sampled/val_acc": "sampled_validation_accuracy",
        "train_acc": "train_accuracy",
        "search/temperature": "temperature",
        "search/entropy": "entropy",
    }
    return {new: last[old] for old, new in names.items() if old in last}


def _child_metrics(child: Any, data: ClassificationData, trainer: Any) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, split in (("validation", data.validation), ("test", data.test)):
        accuracy, loss = accuracy_and_loss(child, evaluation_loader(data, split), trainer.strategy.root_device)
        metrics |= {f"{name}_accuracy": accuracy, f"{name}_loss": loss}
    return metrics
