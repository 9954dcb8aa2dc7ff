"""Retraining recipes: the settings that a published result was trained with, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from snas_nni.errors import SettingError
from trials.settings.sources import SOURCES

__all__ = ["RECIPES", "recipe_name", "with_recipe"]

Groups = Mapping[str, Mapping[str, Any]]

_CIFAR: Final[Groups] = {
    "training": {
        "epochs": 600,
        "batch_size": 96,
        "learning_rate": 0.025,
        "schedule": "cosine",
        "learning_rate_floor": 0.0,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "gradient_clip": 5.0,
        "drop_path": 0.2,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.0,
        "initialisation": "default",
    },
    # The paper trains on all 50,000 images. The best epoch is chosen by validation here, which takes 1,000 of them.
    "data": {"crop_padding": 4, "horizontal_flip": True, "cutout": 16, "validation_fraction": 0.02},
}
_IMAGENET: Final[Groups] = {
    "training": {
        "epochs": 250,
        "batch_size": 128,
        "learning_rate": 0.1,
        "schedule": "exponential",
        "learning_rate_decay": 0.97,
        "momentum": 0.9,
        "weight_decay": 3e-5,
        "gradient_clip": 5.0,
        "drop_path": 0.0,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.1,
        "initialisation": "fan_out",
    },
    "augmentation": {"random_resized_crop": 224, "colour_jitter": (0.4, 0.4, 0.4, 0.2)},
    "data": {
        "image_size": 256,
        "crop_padding": 0,
        "horizontal_flip": True,
        "cutout": 0,
        "validation_fraction": 0.01,
    },
}
_DIGITS: Final[Groups] = {
    "training": {
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 0.05,
        "schedule": "cosine",
        "learning_rate_floor": 0.0,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "gradient_clip": 5.0,
        "drop_path": 0.1,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.0,
        "initialisation": "default",
    },
    "data": {"crop_padding": 1, "horizontal_flip": False, "cutout": 0, "validation_fraction": 0.2},
}

_PLAIN: Final[Groups] = {"training": {**_DIGITS["training"], "epochs": 100, "drop_path": 0.0}, "data": {}}
_MODERN: Final[Groups] = {
    "training": {
        # Of small convolutional networks; AdamW reached less at equal epochs (docs/results/recipe.md).
        "optimizer": "SGD",
        "epochs": 100,
        "batch_size": 128,
        "learning_rate": 0.1,
        "schedule": "cosine",
        "learning_rate_floor": 1e-4,
        "warmup_epochs": 5,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "gradient_clip": 5.0,
        "drop_path": 0.0,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.1,
        "weight_average": 0.999,
        "mixup": 0.2,
        "cutmix": 1.0,
        "initialisation": "default",
    },
}

RECIPES: Final[Mapping[str, Groups]] = {
    "cifar10": _CIFAR,
    "imagenet": _IMAGENET,
    "digits": _DIGITS,
    "plain": _PLAIN,
    "modern": _MODERN,
}
"""Settings by group and name. ``cifar10`` and ``imagenet`` are those of the SNAS code; ``digits`` is a small one,
``plain`` is for data of any kind and ``modern`` for images of any source, both of which leave the data as they are."""


def recipe_name(given: Mapping[str, Any]) -> str:
    """Return the recipe that the given settings name, or that of their data source.

    Raises:
        SettingError: there is no such recipe, or the data source has none of its own.
    """
    name = given.get("recipe")
    if name is None:
        source = given.get("data", {}).get("source", "digits")
        name = SOURCES[source].recipe if source in SOURCES else None
        if name is None:
            raise SettingError(f"recipe: data.source {source!r} has none of its own; choose {', '.join(RECIPES)}")
    if name not in RECIPES:
        raise SettingError(f"recipe is {name!r}, but must be one of {', '.join(RECIPES)}")
    return str(name)


def with_recipe(given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the given settings with their recipe's; what is given wins.

    Raises:
        SettingError: see :func:`recipe_name`.
    """
    name = recipe_name(given)
    completed = {**given, "recipe": name}
    for group, values in RECIPES[name].items():
        completed[group] = {**values, **given.get(group, {})}
    return completed
