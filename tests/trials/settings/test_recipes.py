"""Recipes are those of the SNAS code, and whatever is given wins over them."""

from pathlib import Path

import pytest

from snas_nni.errors import SettingError
from trials.settings.help import settings_help
from trials.settings.recipes import RECIPES
from trials.settings.retrain import RetrainSettings
from trials.verbs.retrain import read_retrain_settings


def test_cifar10() -> None:
    settings = read_retrain_settings(["mild", "--recipe=cifar10"])
    training, data = settings.training, settings.data
    assert (training.epochs, training.batch_size) == (600, 96)
    assert (training.learning_rate, training.schedule, training.learning_rate_floor) == (0.025, "cosine", 0)
    assert (training.momentum, training.weight_decay, training.gradient_clip) == (0.9, 3e-4, 5)
    assert (training.drop_path, training.auxiliary_weight, training.label_smoothing) == (0.2, 0.4, 0)
    assert (data.crop_padding, data.horizontal_flip, data.cutout) == (4, True, 16)
    assert settings.augmentation.random_resized_crop is None
    assert (training.initialisation, settings.seed) == ("default", 0)


def test_imagenet() -> None:
    settings = read_retrain_settings(["mild", "--recipe=imagenet"])
    training, data, augmentation = settings.training, settings.data, settings.augmentation
    assert (training.epochs, training.batch_size) == (250, 128)
    assert (training.learning_rate, training.schedule, training.learning_rate_decay) == (0.1, "exponential", 0.97)
    assert (training.momentum, training.weight_decay, training.gradient_clip) == (0.9, 3e-5, 5)
    assert (training.drop_path, training.auxiliary_weight, training.label_smoothing) == (0, 0.4, 0.1)
    assert (data.image_size, data.crop_padding, data.horizontal_flip, data.cutout) == (256, 0, True, 0)
    assert augmentation.random_resized_crop == 224
    assert augmentation.colour_jitter == (0.4, 0.4, 0.4, 0.2)
    assert training.initialisation == "fan_out"


def test_the_settings_own_defaults_are_those_of_cifar10() -> None:
    defaults = RetrainSettings().training
    assert all(getattr(defaults, name) == value for name, value in RECIPES["cifar10"]["training"].items())


def test_recipe_follows_from_the_data_source() -> None:
    assert read_retrain_settings(["mild"]).recipe == "digits"
    assert read_retrain_settings(["mild", "--data.source=cifar100"]).recipe == "cifar10"
    with pytest.raises(SettingError, match=r"recipe: data.source 'folder'.*imagenet"):
        read_retrain_settings(["mild", "--data.source=folder"])


def test_what_is_given_wins(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("recipe: cifar10\ntraining: {epochs: 7, batch_size: 8}\n")
    settings = read_retrain_settings(
        ["mild", "--config", str(file), "--training.epochs=9"], {"training.drop_path": 0.3, "seed": 4}
    )
    assert (settings.training.epochs, settings.training.batch_size) == (9, 8)
    assert (settings.training.drop_path, settings.seed, settings.data.cutout) == (0.3, 4, 16)
    assert settings.architecture == "mild"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--recipe=mnist"], ["recipe", "mnist", "cifar10"]),
        (["--training.drop_path=1"], ["training.drop_path", "below 1"]),
        (["--training.schedule=steps"], ["training.schedule", "steps"]),
        (["--training.learning_rate_decay=0"], ["training.learning_rate_decay", "above 0"]),
        (["--training.learning_rate_floor=3"], ["training.learning_rate_floor", "3"]),
        (["--augmentation.colour_jitter=[0, 0, 0, 0.7]"], ["augmentation.colour_jitter", "0.7"]),
        (["--recipe=imagenet", "--data.crop_padding=4"], ["data.crop_padding", "augmentation.random_resized_crop"]),
        (["--search.epochs=4"], ["search"]),
        (["--weights=old"], ["weights", "old"]),
        (["--resume=nowhere"], ["resume", "nowhere"]),
    ],
)
def test_mistakes_name_their_key(arguments: list[str], named: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        read_retrain_settings(["mild", *arguments])
    for word in named:
        assert word in str(caught.value)


def test_help_has_one_line_for_each_setting() -> None:
    text = settings_help(RetrainSettings)
    assert "--training.drop_path" in text
    assert max(map(len, text.splitlines())) <= 120
