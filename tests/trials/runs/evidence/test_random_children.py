"""Children of chance: judged at the moment when the child was chosen, with the weights of that moment."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from exports import load
from trials.runs.search import run_search
from trials.settings.search import RunSettings, SearchSettings, SpaceSettings

SMALL = RunSettings(
    space=SpaceSettings(init_args={"channels": 2, "cells": 1, "nodes": 1}),
    search=SearchSettings(epochs=2, batch_size=256, logits_learning_rate=0.1, settle_epochs=1),
    accelerator="cpu",
    quiet=True,
    seed=5,
)


@pytest.fixture(scope="module", params=[1, 0], ids=["settling", "end"])
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    output = tmp_path_factory.mktemp("search") / "output"
    run_search(replace(SMALL, search=replace(SMALL.search, settle_epochs=request.param), output=str(output)))
    return output


@pytest.mark.slow
def test_the_file_agrees_with_the_summary(finished: Path) -> None:
    evidence = json.loads((finished / "evidence.json").read_text())
    metrics = json.loads((finished / "summary.json").read_text())["metrics"]
    for split in ("validation", "test"):
        found = evidence["splits"][split]
        assert found["right"] / found["count"] == pytest.approx(metrics[f"{split}_accuracy"], abs=1e-6)
        assert sum(each["count"] for each in found["classes"]) == found["count"]
        low, high = found["interval"]
        assert low < metrics[f"{split}_accuracy"] < high
    random = evidence["random"]
    children = [each["accuracy"] for each in random["children"]]
    assert len(children) == 8
    assert sum(children) / 8 == pytest.approx(metrics["random_validation_accuracy"])
    assert random["child"]["accuracy"] == metrics["chosen_validation_accuracy"]
    assert random["moment"] == ("settling" if _settled(finished) else "end")
    # Different children differ in what they cost.
    assert len({each["params"] for each in random["children"]}) > 1


def _settled(folder: Path) -> bool:
    return load(folder / "architecture.json").settings["search"]["settle_epochs"] == 1
