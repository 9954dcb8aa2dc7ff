"""One training of a small network by the recipe ``modern``, a part of it left out, looked at on held-out images."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as lightning

from benchmarks.shrink.base import base_network
from benchmarks.shrink.data import IMAGES, SIDE
from benchmarks.shrink.networks import resnet
from trials.bench.subset import smaller
from trials.data.augmentation import usual_augmentation
from trials.data.loaders import evaluation_loader, training_loader
from trials.data.sources import load_data
from trials.data.types import TaskData
from trials.progress import Progress
from trials.settings.recipes import RECIPES
from trials.settings.retrain import RetrainTrainingSettings
from trials.settings.run import DataSettings
from trials.settings.tuning import DistillationSettings
from trials.training.averaging import AveragedWeights
from trials.training.callbacks import EpochSeed, FastLayers
from trials.training.distillation import Distillation
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.modules import retraining_module
from trials.training.trainer import SILENT

__all__ = ["EPOCHS", "VARIANTS", "WIDTH", "images", "measure", "settings_of"]

EPOCHS: Final = 20
WIDTH: Final = 4
"""Of the small network, a ResNet-20 of a quarter of the published width; its teacher is twice as wide."""
_ADAMW: Final = {
    "optimizer": "AdamW", "learning_rate": 2e-3, "learning_rate_floor": 1e-5, "weight_decay": 0.05, "gradient_clip": 1.0
}  # fmt: skip
_NO_MIXING: Final = {"mixup": 0.0, "cutmix": 0.0}
_PLAIN: Final = {**_NO_MIXING, "weight_average": 0.0, "label_smoothing": 0.0, "warmup_epochs": 0}

VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "modern with a teacher": {},
    "without the teacher": {"teacher": False},
    "without the mean of the weights": {"weight_average": 0.0},
    "without mixup and cutmix": _NO_MIXING,
    "without label smoothing": {"label_smoothing": 0.0},
    "AdamW in place of SGD": _ADAMW,
    "without warm-up": {"warmup_epochs": 0},
    "a constant learning rate": {"warmup_epochs": 0, "schedule": "exponential", "learning_rate_decay": 1.0},
    "none of it: SGD and a cosine": {**_PLAIN, "teacher": False},
}
"""What differs from the recipe, by its name in the table."""


@cache
def images(path: str) -> TaskData:
    """Return 3,000 training images and all held-out ones of a folder, at 16 x 16 pixels.

    Args:
        path: folder with ``train/CLASS/*`` and ``test/CLASS/*``; the second is not looked at.
    """
    everything = DataSettings(source="folder", path=path, image_size=SIDE, crop_padding=2)
    data = smaller(load_data(everything, Progress(quiet=True)), IMAGES, None, seed=0)
    return replace(data, augmentation=usual_augmentation(everything, padding=2, mirror=True))


def settings_of(variant: str) -> tuple[RetrainTrainingSettings, bool]:
    """Return how a variant is trained, and whether it has a teacher; warm-up is the recipe's share of the epochs.

    Args:
        variant: one of ``VARIANTS``.
    """
    recipe, changed = RECIPES["modern"]["training"], dict(VARIANTS[variant])
    warmup = round(EPOCHS * recipe["warmup_epochs"] / recipe["epochs"])
    taught = changed.pop("teacher", True)
    return RetrainTrainingSettings(**{**recipe, "epochs": EPOCHS, "warmup_epochs": warmup, **changed}), taught


def measure(variant: str, seed: int, path: str, folder: Path) -> dict[str, Any]:
    """Train the small network from random weights, and say what it reaches.

    Args:
        variant: one of ``VARIANTS``.
        seed: of the weights and of all that follows.
        path: folder of the images.
        folder: of the teachers' weights.

    Returns:
        ``validation`` accuracy of the last epoch's weights, ``teacher``'s, and ``cpu_seconds``.
    """
    data = images(path)
    settings, taught = settings_of(variant)
    teacher = base_network("resnet", seed, folder, data)
    teaching = DistillationSettings()
    start = time.process_time()
    lightning.seed_everything(seed, workers=True, verbose=False)
    network = resnet(WIDTH).train()
    distillation = Distillation(teacher, teaching.weight, teaching.temperature) if taught else None
    module = retraining_module(data, settings, distillation)
    module.set_model(network)
    averaged = [AveragedWeights(settings.weight_average)] if settings.weight_average else []
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator="cpu",
        devices=1,
        callbacks=[EpochSeed(seed), FastLayers(), *averaged],
        gradient_clip_val=settings.gradient_clip,
        logger=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        **SILENT,
    )
    trainer.fit(module, training_loader(data, settings.batch_size, seed))
    seconds = time.process_time() - start
    found = [
        evaluate(torch_predictor(each.eval()), evaluation_loader(data, data.validation)).top1.value
        for each in (network, teacher)
    ]
    return {"validation": found[0], "teacher": found[1], "cpu_seconds": round(seconds, 1)}
