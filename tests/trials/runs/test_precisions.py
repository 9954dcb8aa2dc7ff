"""Every precision that the settings name runs a search and a retraining to their ends."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from exports import build, load
from trials.cli import main
from trials.settings.run import BaseRunSettings
from trials.state.checkpoint_files import checkpoints_in, read_checkpoint

pytestmark = pytest.mark.slow

NAMED = re.findall(r"\b(?:16|32|64|bf16)-(?:true|mixed)\b", BaseRunSettings.__doc__ or "")
WORDS = [
    "search",
    *(f"--space.init_args.{name}" for name in ("channels=2", "cells=1", "nodes=1")),
    *(f"--search.{name}" for name in ("batch_size=1149", "epochs=2", "candidates=2", "recalibration_batches=1")),
    "--accelerator=cpu",
    "--seed=5",
]
TRAINED_IN = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}


def test_all_of_them_are_named() -> None:
    assert set(NAMED) == {"32-true", "64-true", "bf16-true", "16-true", "bf16-mixed", "16-mixed"}


@pytest.mark.parametrize("precision", sorted(set(NAMED) - {"32-true"}))
def test_a_search(precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    assert main([*WORDS, f"--precision={precision}", f"--output={output}"]) == 0, capsys.readouterr().err
    trained = read_checkpoint(checkpoints_in(output)[-1])["state_dict"]
    weights = {t.dtype for name, t in trained.items() if t.is_floating_point() and name.startswith("training_module")}
    assert weights == {TRAINED_IN.get(precision, torch.float32)}
    written = load_file(output / "weights.safetensors")
    assert {tensor.dtype for tensor in written.values() if tensor.is_floating_point()} == {torch.float32}
    child = build(load(output / "architecture.json"))
    assert child(torch.zeros(2, 1, 8, 8)).dtype == torch.float32
    assert main(["evaluate", str(output), "--accelerator=cpu"]) == 0


@pytest.mark.parametrize("precision", sorted(TRAINED_IN))
def test_a_retraining(precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["mild", "--space.init_args.channels=2", "--space.init_args.cells=2", "--training.batch_size=1149"]
    words += ["--training.epochs=2", "--accelerator=cpu", f"--precision={precision}", f"--output={tmp_path / 'output'}"]
    assert main(["retrain", *words]) == 0, capsys.readouterr().err
    for folder in ("output", "output/last"):
        written = load_file(tmp_path / folder / "weights.safetensors")
        assert {tensor.dtype for tensor in written.values() if tensor.is_floating_point()} == {torch.float32}


def test_bounds_that_are_measured_see_the_child_as_it_is_written(tmp_path: Path, capsys) -> None:
    words = [*WORDS, "--precision=bf16-true", "--resources.max_live_peak=1e9", f"--output={tmp_path / 'output'}"]
    assert main(words) == 0, capsys.readouterr().err
