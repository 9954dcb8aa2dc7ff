"""One retraining, from an architecture to a trained network on disk."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies
import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import LightningModule
from pytorch_lightning import Callback
from torch import nn

from exports.run_folder import SearchResult, read_result
from snas_nni.errors import SettingError
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data, with_augmentation
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress, readable_duration
from trials.runs.results import final_numbers
from trials.runs.retrain_child import RetrainedChild, build_for, find_architecture, inherit_weights
from trials.runs.retrain_output import RetrainOutput
from trials.settings.retrain import RetrainSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.state.checkpoint_files import batches_done, epochs_done
from trials.state.ddp_workers import lead_to_follow, leading, open_or_follow
from trials.state.failures import failures_explained
from trials.state.nni_trial import NniTrial
from trials.state.signals import Stopping
from trials.training.callbacks import BestWeights, DropPath, EpochReport, EpochSeed, FastLayers
from trials.training.classifier import RetrainTraining, initialise_fan_out
from trials.training.trainer import make_trainer, quieten_libraries

__all__ = ["fit", "run_retrain"]


def run_retrain(settings: RetrainSettings, trial: NniTrial | None = None) -> SearchResult | None:
    """Train an architecture's child and write its best and last weights, its ONNX file and its accuracy.

    Args:
        settings: of the run.
        trial: the NNI trial to report to; None outside an experiment.

    Returns:
        The result; None in the processes that train beside the first one.

    Raises:
        SnasError: a setting, the architecture, the data or an output file is not as it must be.
        StoppedError: a signal asked for it; the state after the last whole epoch is kept.
    """
    start = time.monotonic()
    quieten_libraries()
    lead = lead_to_follow()
    progress = Progress(settings.quiet or lead is not None)
    searched = find_architecture(settings.architecture)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    data = with_augmentation(load_data(settings.data, progress), settings.augmentation)
    retrained = build_for(searched, settings.space, data)
    if settings.training.initialisation == "fan_out":
        initialise_fan_out(retrained.child)
    inherited = inherit_weights(retrained.child, searched) if settings.weights == "inherit" else None
    input_shape = checked_input_shape(retrained.child, data)

    with Stopping(), open_or_follow(settings, trial, lead, progress) as opened, failures_explained(opened.path):
        if trial is not None:
            trial.resume_at(epochs_done(opened.checkpoint))
        if opened.finished and trial is not None:
            result = read_result(opened.path)
            trial.report_final(final_numbers(result))
            return result
        output = opened.path
        weights = str(inherited) if inherited else "new weights"
        _say_what_is_trained(progress, settings, output, data, retrained, weights)
        files = RetrainOutput(output, settings, searched, retrained)
        best = BestWeights(files.save_best)
        module = RetrainTraining(data.classes, settings.training)
        module.set_model(retrained.child)
        with leading(opened):
            trainer = fit(module, data, settings, output, [best, EpochReport(progress, trial)], opened.checkpoint)
        if not trainer.is_global_zero:
            return None
        seconds = time.monotonic() - start
        result = files.write(trainer, best, data, input_shape, seconds, trial, progress)
        progress.say(
            f"retrained child (epoch {best.epoch}): {result.metrics['validation_accuracy']:.1%} validation and "
            f"{result.metrics['test_accuracy']:.1%} test accuracy, {result.parameters:,} parameters; "
            f"trained in {readable_duration(seconds)}"
        )
        if trial is not None:
            trial.report_final(final_numbers(result) | {"seconds": round(seconds, 1)})
        return result


def checked_input_shape(child: nn.Module, data: ClassificationData) -> tuple[int, ...]:
    """Return the shape of one prepared input, after a copy of the child has run on some in both modes.

    Raises:
        SettingError: the child cannot run on it, or does not give one logit for each class.
    """
    few = LabelledTensors(data.validation.inputs[:2], data.validation.labels[:2])
    inputs = next(iter(evaluation_loader(data, few)))[0]
    shape = tuple(inputs.shape[1:])
    copied = copy.deepcopy(child)
    try:
        with torch.no_grad():
            copied.train()(torch.cat([inputs, inputs]))  # an auxiliary head runs in training only
            logits = copied.eval()(inputs)
    except Exception as error:
        raise SettingError(f"the child cannot run on inputs of shape {shape}: {error}") from error
    if logits.shape != (len(inputs), data.classes):
        raise SettingError(
            f"space.init_args: the child gives outputs of shape {tuple(logits.shape[1:])}, but the data has "
            f"{data.classes} classes"
        )
    return shape


def _say_what_is_trained(
    progress: Progress,
    settings: RetrainSettings,
    output: Path,
    data: ClassificationData,
    retrained: RetrainedChild,
    weights: str,
) -> None:
    training = settings.training
    progress.say(f"results go to {output}")
    progress.say(f"data: {settings.data.source}, {data.in_words}")
    progress.say(
        f"child: {type(retrained.space).__name__} of {settings.architecture}, "
        f"{sum(each.numel() for each in retrained.child.parameters()):,} parameters, {weights}"
    )
    progress.say(
        f"recipe {settings.recipe}: {training.epochs} epochs, batches of {training.batch_size}, learning rate "
        f"{training.learning_rate:g} ({training.schedule}), drop-path to {training.drop_path:g}"
    )


def fit(
    module: LightningModule,
    data: ClassificationData,
    settings: RetrainSettings,
    output: Path,
    callbacks: list[Callback],
    checkpoint: Path | None,
) -> Any:
    """Train and validate for the settings' number of epochs; return the trainer.

    Args:
        module: with its model.
        data: the splits.
        settings: of the run.
        output: folder of logs and checkpoints.
        callbacks: beside those that seed, drop paths and write checkpoints.
        checkpoint: to go on from; None to begin.

    Raises:
        SettingError: this machine has no such accelerator or number of devices, or cannot do that precision.
    """
    all_callbacks = [
        EpochSeed(settings.seed),
        FastLayers(),
        DropPath(settings.training.drop_path),
        *callbacks,
        Checkpoints(output),
    ]
    from_step = batches_done(checkpoint)

    def make(strategy: str) -> Any:
        return make_trainer(
            lightning.Trainer,
            settings,
            output,
            from_step,
            all_callbacks,
            max_epochs=settings.training.epochs,
            gradient_clip_val=settings.training.gradient_clip,
            strategy=strategy,
        )

    trainer = make("auto")
    if trainer.world_size > 1:
        # A child may have weights that nothing reads, such as those of a cell's input that no edge uses.
        trainer = make("ddp_find_unused_parameters_true")
    trainer.fit(
        module,
        training_loader(data, settings.training.batch_size, settings.seed, settings.data.workers),
        evaluation_loader(data, data.validation, settings.data.workers),
        ckpt_path=checkpoint,
    )
    return trainer
