import pytest

from snas_nni.errors import SettingError
from trials.bench.running import result_settings_of
from trials.bench.settings import NasBench201Settings, RetentionSettings
from trials.settings.help import settings_help
from trials.settings.reader import made_of, read_given


def read(kind, *words):
    return made_of(read_given(words, kind=kind), kind)


def test_methods_and_seeds_are_lists_joined_by_commas():
    settings = read(RetentionSettings, "--methods", "snas,darts", "--seeds", "0,2")
    assert settings.method_names() == ("snas", "darts")
    assert settings.seed_numbers() == (0, 2)
    assert RetentionSettings().method_names() == ("snas", "darts", "gumbel_darts", "random")
    assert read(RetentionSettings, "--seeds", "7").seed_numbers() == (7,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "snas,enas"], "methods is 'enas', but must be one of snas, darts, gumbel_darts, random"),
        (["--seeds", "0,-1"], "seeds is '0,-1'"),
        (["--images", "3"], "images is 3"),
        (["--retrain_epochs", "-1"], "retrain_epochs is -1"),
        (["--search.epochs", "2", "--search.warmup_epochs", "2"], "search.warmup_epochs is 2"),
        (["--channels", "4"], "there is no setting channels"),
    ],
)
def test_mistakes_are_named(words, message):
    with pytest.raises(SettingError, match=message):
        read(RetentionSettings, *words)


def test_the_small_space_keeps_its_other_sizes():
    settings = read(RetentionSettings, "--space.init_args.cells", "5")
    assert settings.space.init_args == {"channels": 8, "cells": 5, "nodes": 2}
    other = read(RetentionSettings, "--space.class_path", "my.Space", "--space.init_args.width", "4")
    assert other.space.init_args == {"width": 4}


def test_what_decides_a_row_leaves_out_places_and_what_is_asked_for():
    one = read(NasBench201Settings, "--data.path", "here", "--table", "t.csv", "--seeds", "0", "--output", "a.json")
    other = read(NasBench201Settings, "--data.path", "there", "--methods", "snas", "--quiet")
    assert result_settings_of(one) == result_settings_of(other)
    assert result_settings_of(one) != result_settings_of(read(NasBench201Settings, "--channels", "4"))
    assert result_settings_of(one)["data"]["image_size"] == 16


def test_help_has_the_meaning_and_the_default_of_inherited_settings():
    lines = settings_help(NasBench201Settings)
    assert "images that a search sees in an epoch; null for all [10000]" in lines
    assert "passes over the training images, at least 1 [22]" in lines
