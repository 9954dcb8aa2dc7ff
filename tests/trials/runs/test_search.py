"""One search run: what it writes, what it refuses, and that it can be cut anywhere."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from exports import build, load, open_predictor, read_architecture
from snas_nni.errors import SettingError
from trials.cli import main
from trials.runs.search import run_search
from trials.settings.reader import read_settings
from trials.settings.search import ResourceSettings, RunSettings, SearchSettings, SpaceSettings
from trials.training.callbacks import EpochReport, epoch_line

SMALL = RunSettings(
    space=SpaceSettings(init_args={"channels": 2, "cells": 1, "nodes": 1}),
    search=SearchSettings(epochs=3, batch_size=256, logits_learning_rate=0.1),
    accelerator="cpu",
    quiet=True,
    seed=5,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("search") / "output"
    run_search(replace(SMALL, output=str(output)))
    return output


def validated_epochs(output: Path) -> list[str]:
    with (output / "metrics.csv").open() as file:
        return [row["epoch"] for row in csv.DictReader(file) if row["val_acc"]]


def test_writes_everything(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert all((finished / name).is_file() for name in summary["files"])
    assert summary["input_shape"] == [1, 8, 8]
    metrics = summary["metrics"]
    assert 0 <= metrics["test_accuracy"] <= 1
    assert metrics["validation_accuracy"] == pytest.approx(metrics["supernet_validation_accuracy"], abs=1e-6)
    assert metrics["params"] == summary["parameters"]
    assert metrics["macs"] > 0
    architecture = load(finished / "architecture.json")
    assert architecture.seed == 5
    assert build(architecture)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert read_architecture(finished / "model.onnx").sample == architecture.sample
    described = open_predictor(finished).description
    assert described.class_names == tuple("0123456789")
    assert described.preparation.as_document() == summary["preparation"]
    assert described.preparation.mean == tuple(summary["normalisation"]["mean"])
    assert described.metrics["test_accuracy"] == metrics["test_accuracy"]
    assert validated_epochs(finished) == ["0", "1", "2"]


@pytest.mark.slow
def test_the_last_epoch_the_summary_and_the_files_are_of_the_child_within_the_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The five epochs end with one that trains the chosen child alone."""
    settings = replace(
        SMALL,
        space=SpaceSettings(class_path="search_spaces.NasBench201Space", init_args={"channels": 2}),
        search=replace(SMALL.search, epochs=5),
        resources=ResourceSettings(max_params=4000, max_int8_bytes=1e9),
        output=str(tmp_path / "output"),
        quiet=False,
    )
    run_search(settings)
    said = capsys.readouterr().out
    summary = json.loads((tmp_path / "output" / "summary.json").read_text())
    assert summary["parameters"] <= 4000
    assert "int8_bytes: every child of the space is within" in said
    with (tmp_path / "output" / "metrics.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["val_acc"]][-1]
    shown = summary["metrics"]["validation_accuracy"]
    assert float(last["val_acc"]) == pytest.approx(shown, abs=1e-6)
    assert f"child {shown:.1%}" in next(line for line in said.splitlines() if "epoch 5/5" in line)
    architecture = load(tmp_path / "output" / "architecture.json")
    assert sum(each.numel() for each in build(architecture).parameters()) == summary["parameters"]
    assert read_architecture(tmp_path / "output" / "model.onnx").sample == architecture.sample


def test_recorded_settings_can_be_read_again(finished: Path) -> None:
    again = read_settings([f"--config={finished / 'settings.yml'}", "--quiet", "--accelerator=cpu"])
    assert again == SMALL
    assert "output" not in yaml.safe_load((finished / "settings.yml").read_text())


def test_occupied_output_folder_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--output", str(finished)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: output: ")
    assert "not empty" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_resumed_search_is_the_uninterrupted_one(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EpochReport.on_train_epoch_end

    def cut_after_two(self, trainer, pl_module) -> None:
        original(self, trainer, pl_module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EpochReport, "on_train_epoch_end", cut_after_two)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_search(replace(SMALL, output=str(tmp_path / "cut")))
    assert not (tmp_path / "cut" / "summary.json").exists()
    torch.rand(7)  # the resumed process has another past
    run_search(replace(SMALL, output=str(tmp_path / "rest"), resume=str(tmp_path / "cut")))
    assert validated_epochs(tmp_path / "rest") == ["0", "1", "2"]
    assert (tmp_path / "rest" / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()
    whole, rest = (load_file(folder / "weights.safetensors") for folder in (finished, tmp_path / "rest"))
    assert whole.keys() == rest.keys()
    assert all(torch.equal(whole[name], rest[name]) for name in whole)


def test_resuming_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="resume"):
        run_search(replace(SMALL, output=str(tmp_path / "new"), resume=str(tmp_path)))


def test_shown_and_exported(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(finished / "architecture.json")
    assert main(["show", file]) == 0
    text = capsys.readouterr().out
    assert "SnasCellSpace(" in text
    assert "cell normal" in text
    assert "validation_accuracy" in text
    assert main(["export", file, "--output", str(tmp_path / "model.onnx")]) == 0
    assert (tmp_path / "model.onnx").is_file()
    assert main(["export", file, "--input-shape", "1,x,3"]) == 2
    assert "--input-shape" in capsys.readouterr().err


def test_verbs_have_help_and_unknown_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "launch" in capsys.readouterr().out
    assert main(["search", "--help"]) == 0
    assert "--search.epochs" in capsys.readouterr().out
    for verb in ("launch", "export", "show"):
        with pytest.raises(SystemExit) as caught:
            main([verb, "--help"])
        assert caught.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) < 40
    assert main(["serch"]) == 2
    assert "serch" in capsys.readouterr().err


def test_epoch_line_leaves_out_what_was_not_measured() -> None:
    assert epoch_line(3, 10, {"val_acc": 0.5, "search/temperature": 0.25}, 65) == (
        "epoch  3/10  temperature 0.250  child 50.0%  1m05s left"
    )
