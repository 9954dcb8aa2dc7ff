"""`--quiet` prints nothing, whatever the verb, and changes nothing else."""

import json

import pytest

from trials.cli import main

DATA = """
import torch

def load():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(80, 1, 8, 8, generator=generator), torch.arange(80) % 4
"""
SEARCH = [
    "search", "--data.source", "few_images.load", "--search.epochs", "1", "--search.batch_size", "32",
    "--space.init_args.channels", "2", "--space.init_args.cells", "1", "--space.init_args.nodes", "1",
]  # fmt: skip


@pytest.fixture
def quiet_folder(tmp_path, monkeypatch):
    (tmp_path / "few_images.py").write_text(DATA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "run"


@pytest.mark.slow
def test_every_verb(quiet_folder, capfd):
    """One after the other on one folder: each needs what the ones before it wrote, so each has done its work."""
    data = ["--data.source", "few_images.load"]
    architecture = str(quiet_folder / "architecture.json")
    verbs = [
        [*SEARCH, "--output", str(quiet_folder)],
        ["export", architecture, "--output", str(quiet_folder / "again.onnx")],
        ["report", str(quiet_folder), "--pictures", str(quiet_folder / "figures")],
        ["quantize", str(quiet_folder), *data, "--images", "16"],
        ["evaluate", str(quiet_folder), *data, "--output", str(quiet_folder / "evaluation.json")],
        ["retrain", architecture, *data, "--recipe", "digits", "--training.epochs", "1", "--training.batch_size", "32",
         "--output", str(quiet_folder / "retrained")],
    ]  # fmt: skip
    for words in verbs:
        assert main([*words, "--quiet"]) == 0, words[0]
        captured = capfd.readouterr()
        assert captured.out == "", words[0]
        assert captured.err == "", words[0]
    for name in ("again.onnx", "report.html", "model.int8.onnx", "retrained/architecture.json"):
        assert (quiet_folder / name).stat().st_size > 0
    assert set(json.loads((quiet_folder / "evaluation.json").read_text())) == {"PyTorch", "ONNX Runtime", "8 bits"}


def test_errors_are_still_printed(capfd):
    assert main(["report", "no such folder", "--quiet"]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
