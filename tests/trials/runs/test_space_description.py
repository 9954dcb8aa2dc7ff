"""`snas-nni show SPACE`: which modules share a choice and what each candidate costs, before any search."""

import re
from pathlib import Path

import pytest

from trials.cli import main

EXAMPLES = Path(__file__).parents[3] / "examples"


def shown(capsys, *words):
    assert main(["show", *words]) == 0
    return capsys.readouterr().out


def rows(text, label):
    """Numbers of each candidate of a label: parameters, MACs, memory access."""
    block = re.search(rf"^{label}  \(.*\)\n.*\n((?:  .*\n)+)", text, re.MULTILINE)[1]
    found = {}
    for line in block.splitlines():
        name, *numbers = line.split()
        found[name] = [int(number.replace(",", "")) for number in numbers]
    return found


def test_a_space_of_nested_blocks(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "images"))
    text = shown(capsys, "image_space.ImageSpace", "--input-shape", "1", "8", "8")
    assert text.startswith("image_space.ImageSpace: 13 choices\n")
    assert "\nfirst1  (first.blocks.1)\n" in text
    first = rows(text, "first0")
    assert first["conv3"][0] == 16 * 16 * 9 + 2 * 16  # its weights and its BatchNorm's
    assert first["conv5"][0] == 16 * 16 * 25 + 2 * 16
    assert first["skip"][:2] == [0, 0]
    depth = rows(text, "first_depth")
    assert depth["1"][0] < depth["2"][0] < depth["3"][0]


def test_modules_that_share_a_label(capsys):
    sizes = ["--set", "channels=2", "--set", "cells=3", "--set", "nodes=1"]
    text = shown(capsys, "search_spaces.SnasCellSpace", *sizes, "--input-shape", "3", "16", "16")
    assert len(re.findall(r"^normal/\S+  \((.*)\)$", text, re.MULTILINE)) == 2
    assert "cheapest and dearest child" in text


def test_an_input_of_another_shape_is_said_and_the_rest_is_shown(capsys):
    text = shown(capsys, "search_spaces.SnasCellSpace", "--set", "cells=1", "--input-shape", "7", "16", "16")
    assert "costs were not counted on an input of shape 7 x 16 x 16, float32" in text
    assert "sep_conv_3x3" in text


@pytest.mark.parametrize(("words", "message"), [(["--set", "cells"], "name=value"), (["--set", "cells=["], "not YAML")])
def test_mistakes(capsys, words, message):
    assert main(["show", "search_spaces.SnasCellSpace", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_space_from_a_network_tells_what_stays(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "search_spaces" / "from_model"))
    given = ("model=small_networks.Residual", "example=[1, 3, 8, 8]", "keep=[stem]")
    text = shown(capsys, "search_spaces.FromModel", *(word for each in given for word in ("--set", each)))
    assert list(rows(text, "blocks.1.conv1/width")) == ["16", "12", "8"]
    assert rows(text, "blocks.2/block")["skip"][:2] == [0, 0]
    assert "  stem.0: is to be kept\n" in text
    assert "  head: is an output of the model\n" in text
