"""The files that a run leaves, and what an experiment hears of them."""

import json
from pathlib import Path

import pytest
import torch

from exports import Architecture, InputExample, OnnxExportError, build, load
from exports.run_folder import SearchResult, read_result
from search_spaces import SnasCellSpace
from snas_nni.derivation.child import build_child
from trials.runs.results import final_numbers, write_results

ARGUMENTS = {"channels": 2, "cells": 1, "nodes": 1, "in_channels": 1, "classes": 3}


@pytest.fixture(scope="module")
def recorded() -> tuple[Architecture, torch.nn.Module]:
    torch.manual_seed(0)
    space = SnasCellSpace(**ARGUMENTS)
    sample = dict.fromkeys(space.simplify(), "sep_conv_3x3")
    child = build_child(SnasCellSpace, ARGUMENTS, sample)
    metrics = {"validation_accuracy": 0.75, "test_accuracy": 0.5, "seconds": 12.3456}
    return Architecture.create(space=space, sample=sample, child=child, metrics=metrics), child.eval()


def test_all_files_belong_together_and_the_result_is_read_back(tmp_path: Path, recorded) -> None:
    record, child = recorded
    checked: list[Path] = []

    def check(path: Path) -> dict[str, int]:
        assert not (tmp_path / "summary.json").exists()  # which comes last
        checked.append(path)
        return {"different_decisions": 0}

    result = write_results(tmp_path, record, child, InputExample((1, 8, 8)), {"tuned": {"seed": 3}}, check)
    assert checked == [tmp_path / "model.onnx"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["tuned"] == {"seed": 3}
    assert summary["metrics"] == record.metrics
    assert summary["onnx"]["different_decisions"] == 0
    assert summary["onnx"]["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {*summary["files"], "summary.json"} - {
        "metrics.csv",  # those two are there before
        "settings.yml",
    }
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(build(load(tmp_path / "architecture.json")).eval()(images), child(images))
    assert read_result(tmp_path) == result == SearchResult(tmp_path, record.metrics, record.parameters)


def test_a_file_that_is_refused_leaves_no_summary(tmp_path: Path, recorded) -> None:
    def check(path: Path) -> dict[str, int]:
        raise OnnxExportError("they differ")

    with pytest.raises(OnnxExportError, match="they differ"):
        write_results(tmp_path, *recorded, InputExample((1, 8, 8)), {}, check)
    assert not (tmp_path / "summary.json").exists()
    images = torch.randn(2, 1, 8, 8)  # the child is there all the same
    assert torch.equal(build(load(tmp_path / "architecture.json")).eval()(images), recorded[1](images))


def test_what_an_experiment_hears(tmp_path: Path) -> None:
    metrics = {"validation_accuracy": 0.75, "test_accuracy": 0.5, "val_loss": 1.0, "seconds": 12.3456}
    costs = {"params": 42.0, "macs": 7.0, "memory_access": 9.0, "activation_peak": 5.0, "live_peak": 3.0}
    metrics |= costs
    assert final_numbers(SearchResult(tmp_path, metrics, 42)) == {
        "default": 0.75,
        "test_accuracy": 0.5,
        "parameters": 42,
        **costs,
        "seconds": 12.3,
        "warnings": [],
        "output": str(tmp_path),
    }
