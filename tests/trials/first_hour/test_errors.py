"""What a newcomer gets wrong, and what is told of it: the line, the shapes, the word that was meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snas_nni.errors import SettingError
from trials.settings.amounts import amount
from trials.settings.reader import read_settings

COMMAND = [sys.executable, "-m", "trials.cli"]
SPACE = """
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


class MySpace(ModelSpace):
    def __init__(self, {arguments}):
        super().__init__()
        self.stem = nn.Conv2d({channels}, 8, 3, padding=1)
        self.middle = LayerChoice({{"conv": nn.Conv2d(8, 8, 3, padding=1), "skip": nn.Identity()}}, label="middle")
        self.head = nn.Linear({width}, {classes})

    def forward(self, images):
        pooled = self.middle(self.stem(images)).relu(){pooling}
        return self.head(pooled)
"""
RIGHT = {"arguments": "width=8", "channels": 1, "width": 8, "classes": 10, "pooling": ".mean((2, 3))"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def searched(verb, **changes: object):
    Path("my_space.py").write_text(SPACE.format(**{**RIGHT, **changes}))
    words = ("--space.class_path", "my_space.MySpace", "--search.epochs", 1, "--search.batch_size", 256)
    process = verb("search", *words, "--output", "run")
    return process, process.wait()


def line_of(text: str) -> int:
    lines = Path("my_space.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"width": 16}, "self.head(pooled)", ["mat1 and mat2", "pooled is 256 x 8 (float32)"]),
        ({"channels": 3}, "self.middle(self.stem", ["to have 3 channels", "images is 256 x 1 x 8 x 8 (float32)"]),
        ({"pooling": ".mean(size=2)"}, "self.middle(self.stem", ["TypeError", "mean()"]),
    ],
)  # fmt: skip
def test_an_error_in_the_users_forward(verb, changes: dict, line: str, words: list[str], tmp_path: Path) -> None:
    process, code = searched(verb, **changes)
    assert code == 2
    assert process.errors.startswith(f"error: my_space.py, line {line_of(line)}, in ")
    assert "forward" in process.errors
    assert line in process.errors
    for word in words:
        assert word in process.errors
    assert len(process.errors.splitlines()) <= 3
    assert "Traceback" not in process.errors + process.output
    assert not (tmp_path / "run").exists()  # nothing was found, nothing is left


def test_a_head_of_another_width(verb) -> None:
    process, code = searched(verb, classes=7)
    assert code == 2
    assert "outputs of shape (256, 7)" in process.errors
    assert "the data has 10 classes" in process.errors
    assert f"my_space.py:{line_of('class MySpace')}" in process.errors
    assert len(process.errors.splitlines()) == 1


def test_an_error_in_the_users_constructor(verb) -> None:
    process, code = searched(verb, channels='"one"')
    assert code == 2
    assert f"my_space.py, line {line_of('self.stem = ')}, in " in process.errors


@pytest.mark.parametrize(("channels", "classes"), [("in_chans", "num_classes"), ("in_channels", "classes")])
def test_both_names_are_filled_in(verb, channels: str, classes: str, tmp_path: Path) -> None:
    process, code = searched(verb, arguments=f"{channels}=3, {classes}=7", channels=channels, classes=classes)
    assert code == 0, process.errors
    assert (tmp_path / "run/model.onnx").is_file()


def test_nothing_is_left_in_the_home_folder_and_no_warning_is_shown(tmp_path: Path) -> None:
    Path("my_space.py").write_text(SPACE.format(**RIGHT))
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    kept_elsewhere = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in kept_elsewhere}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary)}
    words = ["--space.class_path", "my_space.MySpace", "--search.epochs", "1", "--output", "run"]
    done = subprocess.run([*COMMAND, "search", *words], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(home.iterdir())  # of NNI, matplotlib and ONNX Runtime too
    assert not list(temporary.glob("snas-nni-*"))


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["search", "--search.epcohs", "3"], "search.epochs"),
        (["search", "--epochs", "3"], "search.epochs"),
        (["search", "--config", "wrong.yml"], "search.batch_size"),
        (["retrain", "mild", "--training.epoch", "3"], "training.epochs"),
        (["serch"], "search"),
    ],
)
def test_a_typo_is_told_at_once(words: list[str], meant: str) -> None:
    Path("wrong.yml").write_text("search: {batchsize: 3}\n")
    start = os.times()
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60)
    used = sum(os.times()[2:4]) - sum(start[2:4])  # processor time, as others may keep the machine busy
    assert done.returncode == 2
    assert f"did you mean {meant}?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert used < 1.0


def test_a_reader_that_has_read_enough() -> None:
    process = subprocess.Popen(
        [*COMMAND, "search", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()  # as `| head -0` does
    assert process.stderr.read() == ""
    assert process.wait(60) == 141


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.3M", 2_300_000), ("10k", 10_000), ("1.5K", 1500), ("3G", 3 * 10**9), ("2B", 2 * 10**9), (".5m", 500_000)],
)
def test_numbers_with_letters(text: str, number: int) -> None:
    assert amount(text) == number
    assert read_settings([f"--resources.max_params={text}"]).resources.max_params == number
    assert read_settings(["--resources.max_macs", text]).resources.max_macs == number
    assert read_settings([], {"resources.max_memory_access": text}).resources.max_memory_access == number
    Path("settings.yml").write_text(yaml.safe_dump({"resources": {"max_params": text}}))
    assert read_settings(["--config", "settings.yml"]).resources.max_params == number


@pytest.mark.parametrize("text", ["2.3X", "M", "-1k", "1e3k", "10 apples"])
def test_what_is_no_number_stays_an_error(text: str) -> None:
    with pytest.raises(SettingError):
        read_settings([f"--resources.max_params={text}"])
