"""Settings are checked once, and the message names the one that is wrong."""

import math

import pytest

from snas_nni import SNAS, SettingError
from snas_nni.search.settings import SearchSettings


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("logits_learning_rate", 0, "> 0 or None"),
        ("logits_learning_rate", math.nan, "> 0 or None"),
        ("logits_weight_decay", -1e-3, ">= 0"),
        ("logits_gradient_clip", 0, "> 0 or None"),
        ("weights_gradient_clip", -1, "> 0 or None"),
        ("warmup_epochs", -1, ">= 0"),
        ("samples_per_step", 0, "an integer >= 1"),
        ("samples_per_step", 1.5, "an integer >= 1"),
        ("accumulate_batches", 0, "an integer >= 1"),
        ("skip_tolerance", 1.0, r"in \[0, 1\)"),
        ("skip_tolerance", -0.1, r"in \[0, 1\)"),
        ("initial_logits_std", -0.1, ">= 0"),
        ("logits_betas", (0.5, 1.0), r"two numbers in \[0, 1\)"),
        ("logits_betas", (0.5,), r"two numbers in \[0, 1\)"),
    ],
)
def test_a_value_outside_its_range(name, value, allowed):
    with pytest.raises(SettingError, match=f"{name} must be {allowed}, got"):
        SearchSettings(**{name: value})
    with pytest.raises(SettingError, match=name):
        SNAS(**{name: value})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("initial_temperature", "initial=-1"),
        ("final_temperature", "final=-1"),
        ("temperature_schedule", "temperature_schedule must be"),
        ("temperature_interval", "temperature_interval must be"),
    ],
)
def test_the_schedule_is_checked_too(name, message):
    with pytest.raises(SettingError, match=message):
        SNAS(**{name: -1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logits_gradient_clip", None),
        ("weights_gradient_clip", None),
        ("logits_weight_decay", 0),
        ("skip_tolerance", 0),
        ("initial_logits_std", 0),
        ("warmup_epochs", 0),
    ],
)
def test_the_ends_of_the_ranges(name, value):
    assert getattr(SNAS(**{name: value}).settings, name) == value


def test_the_defaults_are_the_papers():
    settings = SNAS().settings
    assert (settings.temperature.initial, settings.temperature.final, settings.temperature.shape) == (
        1.0,
        0.03,
        "linear",
    )
    assert (settings.logits_learning_rate, settings.logits_betas, settings.logits_weight_decay) == (
        None,  # what follows from the number of steps is the paper's for the paper's number; see test_learning_rate
        (0.5, 0.999),
        1e-3,
    )
    assert (settings.weights_gradient_clip, settings.logits_gradient_clip) == (5.0, 10.0)
    assert (settings.samples_per_step, settings.bilevel, settings.sample_per_layer) == (1, False, False)


def test_betas_may_be_a_list_as_in_yaml():
    assert SNAS(logits_betas=[0.9, 0.99]).settings.logits_betas == (0.9, 0.99)


def test_a_setting_error_is_a_value_error():
    with pytest.raises(ValueError, match="samples_per_step"):
        SNAS(samples_per_step=-3)


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="temprature"):
        SNAS(temprature=1.0)
