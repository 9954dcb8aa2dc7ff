"""One retraining, from an architecture to a trained network on disk."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning import Callback
from torch import nn

from exports import Architecture
from exports.run_folder import SearchResult
from snas_nni.errors import SettingError
from trials.data.loaders import evaluation_loader, input_example, training_loader
from trials.data.sources import load_data, with_augmentation
from trials.data.types import LabelledTensors, TaskData
from trials.progress import readable_duration
from trials.runs.retrain_child import build_for, find_architecture, inherit_weights
from trials.runs.retrain_output import RetrainOutput
from trials.runs.session import Session, run_in_session
from trials.runs.teaching.checks import check_features
from trials.runs.teaching.supernet import supernet_of_folder
from trials.runs.teaching.teachers import SUPERNET, distillation_from, find_distillation
from trials.settings.retrain import RetrainSettings
from trials.settings.search import SpaceSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.state.checkpoint_files import batches_done
from trials.state.nni_trial import NniTrial
from trials.tasks.own import OwnTask
from trials.training.averaging import AveragedWeights
from trials.training.callbacks import BestWeights, DropPath, EpochReport, EpochSeed, FastLayers
from trials.training.loggers import log_result
from trials.training.modules import retraining_module
from trials.training.retraining import initialize_fan_out
from trials.training.trainer import make_trainer

__all__ = ["run_retrain"]


def run_retrain(settings: RetrainSettings, trial: NniTrial | None = None) -> SearchResult | None:
    """Train an architecture's child and write its best and last weights, its ONNX file and what it reaches.

    Args:
        settings: of the run.
        trial: the NNI trial to report to; None outside an experiment.

    Returns:
        The result; None in the processes that train beside the first one.

    Raises:
        SnasError: a setting, the architecture, the data or an output file is not as it must be.
        StoppedError: a signal asked for it; the state after the last whole epoch is kept.
    """
    searched = find_architecture(settings.architecture)
    return run_in_session(settings, trial, partial(_retrain, searched))


def _retrain(searched: Architecture, session: Session[RetrainSettings]) -> SearchResult | None:
    settings, training, progress = session.settings, session.settings.training, session.progress
    data = load_data(settings.data, progress, training.task, settings.evaluator)
    data, deciding = with_augmentation(data, settings.augmentation), data.task.metric
    progress.say(f"data: {settings.data.source}, {data.in_words}")
    retrained = build_for(searched, settings.space, data)
    if training.initialisation == "fan_out":
        initialize_fan_out(retrained.child)
    inherited = inherit_weights(retrained.child, searched) if settings.weights == "inherit" else None
    check_child(retrained.child, data)
    progress.say(
        f"child: {type(retrained.space).__name__} of {settings.architecture}, "
        f"{sum(each.numel() for each in retrained.child.parameters()):,} parameters, {inherited or 'new weights'}"
    )
    progress.say(
        f"recipe {settings.recipe}: {training.epochs} epochs, batches of {training.batch_size}, learning rate "
        f"{training.learning_rate:g} ({training.schedule}), drop-path to {training.drop_path:g}"
    )
    space = SpaceSettings(
        class_path=settings.space.class_path or searched.space.class_path,
        init_args={**searched.space.arguments, **settings.space.init_args},
    )
    distillation = find_distillation(settings.distillation, space, data)
    if settings.distillation.teacher == SUPERNET:
        distillation = distillation_from(supernet_of_folder(searched, data, progress), settings.distillation, data)
    check_features(distillation, retrained.child, data, "the child")

    files = RetrainOutput(session, searched, retrained, deciding)
    best, checkpoints = BestWeights(files.save_best, deciding), Checkpoints(session.folder)
    # After the best weights, which are looked at before the mean gives way; before what writes checkpoints of it.
    averaged = [AveragedWeights(training.weight_average)] if training.weight_average else []
    trainer = _trainer(session, [best, *averaged, EpochReport(progress, session.trial, deciding), checkpoints])
    module = retraining_module(data, training, distillation)
    module.set_model(retrained.child)
    with session.training():
        trainer.fit(
            module,
            training_loader(data, training.batch_size, settings.seed, settings.data.workers),
            evaluation_loader(data, data.validation, settings.data.workers),
            ckpt_path=session.checkpoint,
        )
    if not trainer.is_global_zero:
        return None
    seconds = session.seconds(checkpoints.seconds_before)

    result = files.write(trainer, best, data, input_example(data), seconds)
    for problem in log_result(trainer.loggers, session.folder, result.metrics):
        progress.say(f"warning: {problem}")
    progress.say(
        f"retrained child (epoch {best.epoch}): {deciding.text(result.metrics[deciding.validation])} validation and "
        f"{deciding.text(result.metrics[deciding.test])} test {deciding.title}, {result.parameters:,} parameters; "
        f"trained in {readable_duration(seconds)}"
    )
    return result


def _trainer(session: Session[RetrainSettings], callbacks: list[Callback]) -> Any:
    settings, from_step = session.settings, batches_done(session.checkpoint)
    training = settings.training
    all_callbacks = [EpochSeed(settings.seed), FastLayers(), DropPath(training.drop_path), *callbacks]

    def make(strategy: str) -> Any:
        return make_trainer(
            lightning.Trainer,
            settings,
            session.folder,
            from_step,
            all_callbacks,
            max_epochs=training.epochs,
            gradient_clip_val=training.gradient_clip,
            accumulate_grad_batches=training.accumulate_batches,
            strategy=strategy,
        )

    trainer = make("auto")
    # A child may have weights that nothing reads, such as those of a cell's input that no edge uses.
    return trainer if trainer.world_size == 1 else make("ddp_find_unused_parameters_true")


def check_child(child: nn.Module, data: TaskData) -> None:
    """Run a copy of the child on some prepared inputs, in both modes.

    Raises:
        SettingError: the child cannot run on it, or does not give outputs of the task's shape.
    """
    few = LabelledTensors(data.validation.inputs[:2], data.validation.labels[:2])
    inputs, targets = next(iter(evaluation_loader(data, few)))
    shape = tuple(inputs.shape[1:])
    copied = copy.deepcopy(child)
    try:
        with torch.no_grad():
            copied.train()(torch.cat([inputs, inputs]))  # an auxiliary head runs in training only
            logits = copied.eval()(inputs)
    except Exception as error:
        raise SettingError(f"the child cannot run on inputs of shape {shape}: {error}") from error
    if isinstance(data.task, OwnTask):
        return  # only the user's module knows the shape
    if data.task.as_given(logits).shape != data.task.shape(targets):
        raise SettingError(
            f"space.init_args: the child gives outputs of shape {tuple(logits.shape[1:])}, but the data has "
            f"{data.task.count_in_words}"
        )
