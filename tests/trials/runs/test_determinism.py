"""Same seed, same machine, same result, to the bit, however many processes prepare the batches."""

import csv
import json
from pathlib import Path

import onnx
import pytest
import yaml

from trials.runs.search import run_search
from trials.settings.search import DataSettings, ResourceSettings, RunSettings, SearchSettings, SpaceSettings

pytestmark = pytest.mark.slow

FOLLOWS_THE_CLOCK = "seconds"


def search(output: Path, seed: int = 11, workers: int = 0) -> Path:
    settings = RunSettings(
        space=SpaceSettings(init_args={"channels": 2, "cells": 1, "nodes": 2}),
        data=DataSettings(workers=workers, crop_padding=1, cutout=2),
        search=SearchSettings(epochs=2, batch_size=128, logits_learning_rate=0.1, samples_per_step=2),
        resources=ResourceSettings(penalty="moderate"),
        seed=seed,
        accelerator="cpu",
        output=str(output),
        quiet=True,
    )
    run_search(settings)
    return output


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "first": search(folder / "first"),
        "again": search(folder / "again"),
        "two workers": search(folder / "two", workers=2),
        "another seed": search(folder / "seed", seed=12),
    }


def record(output: Path) -> dict:
    document = json.loads((output / "architecture.json").read_text())
    document["metrics"].pop(FOLLOWS_THE_CLOCK)
    document["settings"]["data"].pop("workers")
    return document


def table(output: Path) -> list[dict[str, str]]:
    with (output / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    return rows


@pytest.mark.parametrize("other", ["again", "two workers"])
def test_same_seed_gives_the_same_to_the_bit(runs: dict[str, Path], other: str) -> None:
    first, second = runs["first"], runs[other]
    assert record(first) == record(second)  # sample, probabilities, entropies, metrics, digest of the weights
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    assert table(first) == table(second)  # losses, accuracies, credits, movement of the logits, of both epochs


def test_another_seed_gives_another_result(runs: dict[str, Path]) -> None:
    assert record(runs["first"])["sha256"] != record(runs["another seed"])["sha256"]
    assert table(runs["first"])[0]["search/loss"] != table(runs["another seed"])[0]["search/loss"]


def test_every_output_tells_the_seed(runs: dict[str, Path]) -> None:
    for name, seed in (("first", 11), ("another seed", 12)):
        output = runs[name]
        assert json.loads((output / "architecture.json").read_text())["seed"] == seed
        assert json.loads((output / "summary.json").read_text())["settings"]["seed"] == seed
        assert yaml.safe_load((output / "settings.yml").read_text())["seed"] == seed
        described = {each.key: each.value for each in onnx.load(output / "model.onnx").metadata_props}
        assert any(json.loads(value).get("seed") == seed for value in described.values() if value.startswith("{"))
