"""Settings: later sources win, every mistake names its key."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from snas_nni import SNAS
from snas_nni.errors import SettingError
from trials.settings.guard import groups_of
from trials.settings.help import settings_help
from trials.settings.reader import read_settings
from trials.settings.search import RunSettings, SearchSettings


def test_defaults() -> None:
    settings = read_settings([])
    assert settings.space.class_path == "search_spaces.SnasCellSpace"
    assert settings.search.final_temperature == 0.03
    assert settings.seed == 0


def test_command_line_overrides_file_and_tuner_overrides_both(tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("seed: 1\nsearch: {epochs: 7, batch_size: 8}\nspace: {init_args: {channels: 3, cells: 4}}\n")
    arguments = ["--config", str(file), "--search.epochs", "9", "--space.init_args.cells=5"]
    settings = read_settings(arguments, {"seed": 2, "space.init_args.nodes": 1})
    assert (settings.seed, settings.search.epochs, settings.search.batch_size) == (2, 9, 8)
    assert settings.space.init_args == {"channels": 3, "cells": 5, "nodes": 1}


def test_tuned_values_keep_their_types() -> None:
    settings = read_settings([], {"search.logits_learning_rate": 1e-05, "search.bilevel": True})
    assert settings.search.logits_learning_rate == 1e-05
    assert settings.search.bilevel is True


def test_null_and_flags() -> None:
    settings = read_settings(["--search.logits_gradient_clip=null", "--quiet"])
    assert settings.search.logits_gradient_clip is None
    assert settings.quiet is True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--search.epochs=0"], ["search.epochs", "0", "at least 1"]),
        (["--search.epochs=many"], ["search.epochs", "many"]),
        (["--search.final_temperature=2"], ["search.final_temperature", "2", "at most 1"]),
        (["--search.final_temperature=nan"], ["search.final_temperature", "nan"]),
        (["--search.logits_betas=[0.5, 1.0]"], ["search.logits_betas", "1.0", "below 1"]),
        (["--search.warmup_epochs=50"], ["search.warmup_epochs", "50", "below 50"]),
        (["--search.settle_epochs=45", "--search.warmup_epochs=5"], ["search.settle_epochs", "45", "below 45"]),
        (["--resources.pull=hard"], ["resources.pull", "hard"]),
        (["--data.validation_fraction=1"], ["data.validation_fraction", "below 1"]),
        (["--data.corrupt=ignore"], ["data.corrupt", "ignore"]),
        (["--training.learning_rate=1e-4"], ["training.learning_rate_floor"]),
        (["--search.temperature_schedule=steep"], ["search.temperature_schedule", "steep"]),
        (["--search.epoch=3"], ["search.epoch"]),
        (["--colour=3"], ["colour"]),
        (["--seed=-1"], ["seed", "-1"]),
        (["--resources.max_params=0"], ["resources.max_params", "above 0"]),
        (["--resources.max_params=half"], ["resources.max_params", "half", "60%"]),
        (["--resources.max_params=120%"], ["resources.max_params", "120%", "at most 100%"]),
        (["--resources.penalty=hard"], ["resources.penalty", "hard"]),
        (["--resources.penalty_weight=0.1"], ["resources.penalty_weight", "resources.penalty"]),
        (["left", "over"], ["left"]),
        (["--config=no_such_file.yml"], ["no_such_file.yml"]),
    ],
)
def test_mistakes_name_their_key(arguments: list[str], named: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings(arguments)
    for word in named:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("search: {epoch: 3}", "search.epoch"),
        ("colour: 3", "colour"),
        ("space: {class: x.Y}", "space.class"),
        ("seed: !!python/object/apply:os.getpid []", "python/object"),
        ("seed: [", "run.yml.*line 1"),
        ("data: other.yml", "run.yml: data must be a group"),
        ("config: other.yml", "run.yml: there is no setting config"),
        ("seed: 1\nseed: 2", "line 2.*seed is given twice"),
        ("seed: 0x" + "f" * 600, "seed: is an integer of 2400 bits"),
        ("output: 2020-99-99", "run.yml: .*month"),
        ("output: 2020-01-01", "output: is a date; write it as text"),
        ("{" * 100, "run.yml"),
    ],
)
def test_mistakes_in_files(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "run.yml"
    file.write_text(content)
    with pytest.raises(SettingError, match=named):
        read_settings([f"--config={file}"])


def test_unknown_tuned_parameter_is_refused() -> None:
    with pytest.raises(SettingError, match=r"search\.depth"):
        read_settings([], {"search.depth": 3})


def test_search_settings_have_the_strategy_s_defaults() -> None:
    ours = {field.name: field.default for field in fields(SearchSettings)}
    theirs = {name: each.default for name, each in inspect.signature(SNAS.__init__).parameters.items()}
    for name in set(ours) - {"epochs", "batch_size"}:
        assert ours[name] == theirs[name], name


def test_help_has_one_short_line_for_each_setting() -> None:
    text = settings_help()
    assert "--search.final_temperature" in text
    assert max(map(len, text.splitlines())) <= 120
    groups = groups_of(RunSettings)
    settings = sum(len(fields(group)) for group in groups.values()) + len(fields(RunSettings)) - len(groups)
    assert sum(line.startswith("  --") for line in text.splitlines()) == settings
    assert len(text.splitlines()) < settings + 2 * (len(groups) + 1) + 1
