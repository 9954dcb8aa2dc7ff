"""Settings are checked once, and the message names the one that is wrong."""

import inspect
import math
import re
from dataclasses import asdict, fields

import pytest

from snas_nni import SNAS, SettingError
from snas_nni.one_shot.settings import SearchSettings


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("logits_learning_rate", 0, r"above 0 and at most 1e\+30"),
        ("logits_learning_rate", 1e300, r"above 0 and at most 1e\+30"),  # more than float32 has
        ("logits_learning_rate", math.nan, r"above 0 and at most 1e\+30"),
        ("logits_weight_decay", -1e-3, "at least 0"),
        ("logits_gradient_clip", 0, "above 0"),
        ("weights_gradient_clip", -1, "above 0"),
        ("warmup_epochs", -1, "at least 0"),
        ("settle_epochs", -1, "a whole number and at least 0"),
        ("candidates", 0, "a whole number and at least 1"),
        ("selection_share", 0.0, "above 0 and at most 1"),
        ("recalibration_batches", -1, "a whole number and at least 0"),
        ("samples_per_step", 0, "a whole number and at least 1"),
        ("samples_per_step", 1.5, "a whole number and at least 1"),
        ("accumulate_batches", 0, "a whole number and at least 1"),
        ("skip_tolerance", 1.0, "at least 0 and below 1"),
        ("skip_tolerance", -0.1, "at least 0 and below 1"),
        ("initial_logits_std", -0.1, "at least 0"),
        ("logits_betas", (0.5, 1.0), "at least 0 and below 1"),
        ("logits_betas", (0.5,), "two numbers"),
        ("sampling", "both", "one of relaxed, single_path"),
    ],
)
def test_a_value_outside_its_range(name, value, allowed):
    with pytest.raises(SettingError, match=f"^{name} is .*, but must be {allowed}$"):
        SearchSettings(**{name: value})
    with pytest.raises(SettingError, match=name):
        SNAS(**{name: value})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("initial_temperature", "initial_temperature is -1"),
        ("final_temperature", "final_temperature is -1"),
        ("temperature_schedule", "temperature_schedule is -1"),
        ("temperature_interval", "temperature_interval is -1"),
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


def test_the_strategy_takes_every_setting_by_its_name_and_default_and_documents_it():
    arguments = inspect.signature(SNAS).parameters
    documented = re.findall(r"^    ([a-z]\w*): ", inspect.getdoc(SNAS), re.MULTILINE)
    for each in fields(SearchSettings):
        assert arguments[each.name].default == each.default, each.name
        assert arguments[each.name].annotation == each.type, each.name
    own = [name for name in arguments if name in {each.name for each in fields(SearchSettings)}]
    assert own == [each.name for each in fields(SearchSettings)] == documented[: len(own)]
    assert documented == list(arguments)


def test_every_setting_reaches_the_search():
    given = {
        "initial_temperature": 2.0,
        "final_temperature": 0.5,
        "temperature_schedule": "cosine",
        "temperature_interval": "step",
        "logits_learning_rate": 0.1,
        "logits_betas": (0.1, 0.2),
        "logits_weight_decay": 0.3,
        "logits_gradient_clip": 1.0,
        "weights_gradient_clip": 2.0,
        "warmup_epochs": 3,
        "settle_epochs": 2,
        "settle_learning_rate": 0.5,
        "candidates": 3,
        "selection_share": 0.5,
        "selection_metric": "-val_loss",
        "recalibration_batches": 3,
        "judge_epochs": 2,
        "bilevel": True,
        "sampling": "single_path",
        "sample_per_layer": True,
        "samples_per_step": 4,
        "spread_samples": True,
        "accumulate_batches": 1,
        "skip_tolerance": 0.25,
        "channels_last": False,
        "initial_logits_std": 0.5,
        "initial_logits": "sensitivity",
        "sensitivity_batches": 2,
        "auxiliary_skip": 0.25,
        "auxiliary_skip_gone_at": 0.5,
        "drop_to": 3,
        "drop_start": 0.125,
        "drop_end": 0.75,
    }
    assert given.keys() == {each.name for each in fields(SearchSettings)}
    assert asdict(SNAS(**given).settings) == given


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="temprature"):
        SNAS(temprature=1.0)
