"""A user's own sequences of token numbers, from the search to every verb that comes after it."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from exports import load, read_architecture
from trials.cli import main

PROJECT = """
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


def load(words=50, length=12):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, words, (240, length), generator=generator)
    return tokens, (tokens < words // 2).sum(1).gt(length // 2).long()


class TokenSpace(ModelSpace):
    def __init__(self, words: int = 50, width: int = 8, classes: int = 2):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.mixer = LayerChoice(
            {"conv": nn.Conv1d(width, width, 3, padding=1), "point": nn.Conv1d(width, width, 1)}, label="mixer"
        )
        self.head = nn.Linear(width, classes)

    def forward(self, tokens):
        x = self.embedding(tokens).transpose(1, 2)
        return self.head(self.mixer(x).relu().mean(-1))
"""
NOT_YET = """
        if torch.compiler.is_exporting():
            raise RuntimeError("this layer has no ONNX form")
"""
SEARCH = (
    "search", "--space.class_path", "my_tokens.TokenSpace", "--data.source", "my_tokens.load", "--search.epochs", "2",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_tokens.py").write_text(PROJECT)


def test_search_and_what_comes_after(verb, tmp_path: Path) -> None:
    process = verb(*SEARCH, "--resources.max_macs", "2000", "--output", "run")
    assert process.wait() == 0, process.errors
    expected = {"shape": [12], "dtype": "int64", "low": 1, "high": 49}
    assert json.loads((tmp_path / "run/summary.json").read_text())["input"] == expected
    assert load(tmp_path / "run/architecture.json").input == expected
    assert read_architecture(tmp_path / "run/model.onnx").input == expected
    assert load(tmp_path / "run/architecture.json").metrics["macs"] <= 2000
    session = onnxruntime.InferenceSession(str(tmp_path / "run/model.onnx"))
    assert session.get_inputs()[0].type == "tensor(int64)"
    (logits,) = session.run(None, {"input": np.ones((3, 12), dtype=np.int64)})
    assert logits.shape == (3, 2)

    for words in (
        ("show", "run"),
        ("export", "run", "--space", "my_tokens", "--output", "again.onnx"),
        ("evaluate", "run", "--space", "my_tokens", "--output", "found.json"),  # its module has the data too
        ("quantize", "run", "--space", "my_tokens", "--data.source", "my_tokens.load"),
    ):
        process = verb(*words)
        assert process.wait() == 0, process.errors
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["PyTorch"]["top1"] == found["ONNX Runtime"]["top1"]
    assert (tmp_path / "again.onnx").is_file()
    assert (tmp_path / "run/model.int8.onnx").is_file()


def test_show_with_token_numbers(verb) -> None:
    process = verb("show", "my_tokens.TokenSpace", "--input-shape", "12", "--input-dtype", "int64")
    assert process.wait() == 0
    assert "params            macs" in process.output
    process = verb("show", "my_tokens.TokenSpace", "--input-shape", "12")
    assert process.wait() == 0
    assert "--input-dtype" in process.output


def test_a_child_that_cannot_be_exported_is_not_lost(verb, tmp_path: Path) -> None:
    code = tmp_path / "my_tokens.py"
    code.write_text(PROJECT.replace("        x = self.embedding", NOT_YET + "        x = self.embedding"))
    process = verb(*SEARCH, "--output", "run")
    assert process.wait() == 2
    assert "no ONNX form" in process.errors
    assert "--resume" in process.errors
    run = tmp_path / "run"
    assert load(run / "architecture.json").metrics["test_accuracy"] > 0
    assert (run / "weights.safetensors").is_file()
    assert not (run / "summary.json").exists()
    weights = (run / "weights.safetensors").read_bytes()

    code.write_text(PROJECT)
    process = verb("export", "run/architecture.json", "--space", "my_tokens")
    assert process.wait() == 0, process.errors
    assert (run / "model.onnx").is_file()
    process = verb("search", "--resume", "run")
    assert process.wait() == 0, process.errors
    assert (run / "summary.json").is_file()
    assert (run / "weights.safetensors").read_bytes() == weights


def test_wrong_input_options_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, key in (
        (["--input-shape", "3,x"], "--input-shape"),
        (["--input-shape", "12", "--input-dtype", "int64", "--input-range", "5", "1"], "--input-range"),
        (["--input-shape", "12", "--input-dtype", "int64", "--input-range", "0", "1.5"], "--input-range"),
    ):
        assert main(["show", "search_spaces.SnasCellSpace", *words]) == 2
        assert key in capsys.readouterr().err
