"""One search run, from settings to a child on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning import Callback
from torch import Tensor

from exports import Architecture
from exports.metric import DecidingMetric
from exports.run_folder import SearchResult
from search_spaces import FromModel
from snas_nni import SNAS, build_child
from trials.data.loaders import evaluation_loader, held_out_batches, input_example, training_loader
from trials.data.sources import load_data
from trials.data.types import TaskData
from trials.latency.child import table_of_run
from trials.progress import readable_duration
from trials.runs.components import make_space, make_strategy
from trials.runs.deployment import accepts, measured_on, numbers_of, predicted_latency
from trials.runs.evidence.evidence_file import random_document, write_evidence
from trials.runs.evidence.graph import write_graph
from trials.runs.evidence.random_children import RandomChildren
from trials.runs.results import save_child, warnings_of, write_results
from trials.runs.session import Session, run_in_session
from trials.runs.teaching.checks import check_teaching
from trials.runs.teaching.given_network import warn_of_chance
from trials.runs.teaching.supernet import supernet_distillation
from trials.runs.teaching.teachers import find_distillation
from trials.runs.teaching.tuning import tune
from trials.settings.costs.bounds import given_bounds, measured_bounds
from trials.settings.search import RunSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.state.checkpoint_files import batches_done
from trials.state.nni_trial import NniTrial
from trials.state.output_folder import recorded_settings
from trials.training.callbacks import EpochReport
from trials.training.distillation import Distillation
from trials.training.evaluation import child_costs, child_metrics
from trials.training.loggers import log_result
from trials.training.modules import training_module
from trials.training.number_types import NumberTypes, number_types, put_types
from trials.training.trainer import KEEPS_TYPES, make_trainer

__all__ = ["run_search"]


def run_search(
    settings: RunSettings, trial: NniTrial | None = None, weights: Mapping[str, Tensor] | None = None
) -> SearchResult | None:
    """Search, derive the child, evaluate it and write it; or go on with a search that was cut off.

    Args:
        settings: of the run.
        trial: the NNI trial to report to; None outside an experiment.
        weights: that the space starts from, by name; None for those that it is made with.

    Returns:
        The result; None in the processes that train beside the first one.

    Raises:
        SnasError: a setting, the data, the space or an output file is not as it must be; the loss is not finite.
        StoppedError: a signal asked for it. There is a checkpoint then, if training had begun.
    """
    return run_in_session(settings, trial, partial(_search, weights))


def _search(weights: Mapping[str, Tensor] | None, session: Session[RunSettings]) -> SearchResult | None:
    settings, progress = session.settings, session.progress
    data = load_data(settings.data, progress, settings.training.task, settings.evaluator)
    progress.say(f"data: {settings.data.source}, {data.in_words}")
    space = make_space(settings.space, data)
    if weights is not None:
        space.load_state_dict(weights)
    example, bounds = input_example(data), measured_bounds(settings.resources)
    types = partial(_types_of_child, settings, data)
    clock = table_of_run(settings, session.folder, lambda: make_space(settings.space, data), example, progress)
    timed = clock if given_bounds(settings.resources)["latency_ms"] is not None else None
    accept = accepts(bounds, data, example, progress, types, timed, lambda: numbers_of(strategy))
    strategy = make_strategy(settings, accept, data.task.metric, None if clock is None else clock.path)
    keep = settings.checkpoint
    checkpoints = Checkpoints(session.folder, keep.keep, keep.every_steps, session.stopping)
    distillation = find_distillation(settings.distillation, settings.space, data)
    check_teaching(settings, distillation, space, data)
    if isinstance(space, FromModel) and session.checkpoint is None:
        warn_of_chance(settings.space, data, progress)
    random = RandomChildren(data, settings)
    report = EpochReport(progress, session.trial, data.task.metric)
    evaluator = _evaluator(session, data, distillation, [report, random, checkpoints])
    with session.training():
        _run_strategy(space, evaluator, strategy)
    if not evaluator.trainer.is_global_zero:
        return None
    seconds = session.seconds(checkpoints.seconds_before)

    sample, child = strategy.derive()
    put_types(child, types(sample))
    if strategy.budget_report is not None:
        progress.say(str(strategy.budget_report))
    metrics = {
        **_search_metrics(checkpoints.table.last, data.task.metric),
        "logits_learning_rate": strategy.oneshot_module.logits_learning_rate,
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
        example=example,
    )
    save_child(session.folder, architecture, child)  # before anything that can fail
    if settings.tuning.epochs:
        progress.say(f"training the child by itself for {settings.tuning.epochs} epochs")
        distillation = distillation or supernet_distillation(strategy, settings, data)
        tune(child, data, settings, settings.tuning.epochs, distillation, settings.accelerator)
    write_graph(session.folder, architecture, strategy, sample, example, progress)
    device = evaluator.trainer.strategy.root_device
    if not random.moment and strategy.oneshot_module.settling.chosen is None:
        random.judge(strategy.oneshot_module)
    deciding = data.task.metric
    metrics |= {**child_metrics(child, held_out_batches(data), device, data.task), **random.metrics}
    if data.task.is_classification:  # the file is of classes
        write_evidence(session.folder, child, data, device, random_document(random, strategy, len(data.validation)))
    metrics |= {**child_costs(child.cpu(), example, progress), **predicted_latency(strategy, sample, clock)}
    met = strategy.budget_report
    summary = session.summary(data) | ({"budget": dict(met.bounds)} if met is not None else {})
    summary |= {"latency": clock.document()} if clock is not None else {}
    result = write_results(
        session.folder,
        replace(architecture, metrics=metrics),
        child,
        example,
        summary,
        measure=lambda file: measured_on(file, data, "int8_loss" in bounds, clock),
    )
    progress.say(
        f"child: {deciding.text(metrics[deciding.validation])} validation and "
        f"{deciding.text(metrics[deciding.test])} test {deciding.title}, "
        f"{result.parameters:,} parameters; searched in {readable_duration(seconds)}"
    )
    for problem in log_result(evaluator.trainer.loggers, session.folder, result.metrics):
        progress.say(f"warning: {problem}")
    for warning in warnings_of(session.folder):
        progress.say(f"warning: {warning}")
    return result


def _types_of_child(settings: RunSettings, data: TaskData, sample: Mapping[str, Any]) -> NumberTypes:
    """The types that the space makes a child's numbers of; none where the search leaves them as they are."""
    if settings.precision in KEEPS_TYPES:
        return {}
    return number_types(build_child(partial(make_space, settings.space, data), {}, sample))


def _evaluator(
    session: Session[RunSettings],
    data: TaskData,
    distillation: Distillation | None,
    callbacks: list[Callback],
) -> Any:
    settings, checkpoint = session.settings, session.checkpoint
    from_step, epochs = batches_done(checkpoint), settings.search.epochs
    module = training_module(data, settings.training, distillation)
    return Lightning(
        module,
        make_trainer(Trainer, settings, session.folder, from_step, callbacks, max_epochs=epochs),
        train_dataloaders=training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers),
        val_dataloaders=evaluation_loader(data, data.validation, settings.data.workers),
        fit_kwargs={"ckpt_path": checkpoint} if checkpoint else {},
    )


def _run_strategy(space: ModelSpace, evaluator: Lightning, strategy: SNAS) -> None:
    """Run the strategy as ``NasExperiment`` does, without an entry in ``~/nni-experiments`` for each search."""
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())


def _search_metrics(last: dict[str, float], deciding: DecidingMetric) -> dict[str, float]:
    """Pick the supernet's metrics from the last epoch's row."""
    names = {
        deciding.logged: f"supernet_{deciding.validation}",
        f"sampled/{deciding.logged}": f"sampled_{deciding.validation}",
        deciding.logged_in_training: f"train_{deciding.name}",
        "search/temperature": "temperature",
        "search/entropy": "entropy",
        "search/entropy_share": "entropy_share",
    }
    return {new: last[old] for old, new in names.items() if old in last}
