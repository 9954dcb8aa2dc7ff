"""Options have one meaning in all verbs, in either spelling."""

import pytest

from snas_nni.errors import SettingError
from trials.cli import main
from trials.verbs.retrain import read_retrain_settings
from trials.verbs.search import read_search_settings
from trials.verbs.shared.options import shape_of, with_group_options, with_plain_options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--space", "my.Space"], ["--space.class_path=my.Space"]),
        (["--space=my.Space", "--seed", "3"], ["--space.class_path=my.Space", "--seed", "3"]),
        (["--set", "a=1", "--set=b=[1, 2]"], ["--space.init_args.a=1", "--space.init_args.b=[1, 2]"]),
        (["--set", "a="], ["--space.init_args.a="]),
        (
            ["--space.class_path", "x", "--space.init_args.a", "1"],
            ["--space.class_path", "x", "--space.init_args.a", "1"],
        ),
        (["--config", "settings.yml", "--quiet"], ["--config", "settings.yml", "--quiet"]),
    ],
)
def test_verbs_with_a_group(words, expected):
    assert with_group_options(words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--space.class_path", "my.Space"], ["--space=my.Space"]),
        (["--space.class_path=my.Space"], ["--space=my.Space"]),
        (["--space", "my.Space"], ["--space=my.Space"]),
        (["--space.init_args.a", "1", "--space.init_args.b.c=2"], ["--set=a=1", "--set=b.c=2"]),
        (["--input-shape", "3", "32", "32", "file.json"], ["--input-shape=3,32,32", "file.json"]),
        (["--input-shape", "3,32,32", "file.json"], ["--input-shape=3,32,32", "file.json"]),
        (["--input-shape", "3", "32x32", "--quiet"], ["--input-shape=3,32x32", "--quiet"]),
        (["--input-shape=3x32x32", "file.json"], ["--input-shape=3x32x32", "file.json"]),
        (["--input-shape", "many", "file.json"], ["--input-shape=many", "file.json"]),
    ],
)
def test_verbs_with_plain_options(words, expected):
    assert with_plain_options(words) == expected


@pytest.mark.parametrize(
    ("rewrite", "words", "message"),
    [
        (with_group_options, ["--set", "a"], "--set: 'a' must look like name=value"),
        (with_group_options, ["--set", "=1"], "name=value"),
        (with_group_options, ["--space"], "--space: its value must follow"),
        (with_plain_options, ["--space.init_args.a"], "--space.init_args.a: its value must follow"),
    ],
)
def test_values_that_are_missing_are_named(rewrite, words, message):
    with pytest.raises(SettingError, match=message):
        rewrite(words)


@pytest.mark.parametrize("text", ["3,32,32", "3x32x32", "3,32x32"])
def test_shapes(text):
    assert shape_of(text) == (3, 32, 32)


@pytest.mark.parametrize("text", ["", "3,", "3,0", "-1,3", "many", "1,x,3"])
def test_what_is_no_shape(text):
    with pytest.raises(SettingError, match="--input-shape"):
        shape_of(text)


def test_both_spellings_give_the_same_settings():
    short = ["--space", "my.Space", "--set", "width=32", "--set", "blocks=[1, 2]"]
    long = ["--space.class_path", "my.Space", "--space.init_args.width", "32", "--space.init_args.blocks", "[1, 2]"]
    assert read_search_settings(short) == read_search_settings(long)
    assert read_search_settings(short).space.init_args == {"width": 32, "blocks": [1, 2]}
    assert read_retrain_settings(["mild", *short]) == read_retrain_settings(["mild", *long])


def test_a_space_is_shown_in_either_spelling(capsys):
    shown = []
    for words in (
        ["search_spaces.SnasCellSpace", "--set", "cells=1", "--set", "nodes=1", "--input-shape", "3", "16", "16"],
        ["--space", "search_spaces.SnasCellSpace", "--set=cells=1", "--set=nodes=1", "--input-shape=3,16,16"],
        ["--input-shape", "3x16x16", "--space.class_path", "search_spaces.SnasCellSpace", "--space.init_args.cells",
         "1", "--space.init_args.nodes=1"],
    ):  # fmt: skip
        assert main(["show", *words]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    assert "cheapest and dearest child" in shown[0]
    for words in ([], ["file.json", "--space", "x.Y"]):
        with pytest.raises(SystemExit) as caught:
            main(["show", *words])
        assert caught.value.code == 2
