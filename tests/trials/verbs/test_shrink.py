"""From a trained network to a child within a share of its costs: the whole way, on the digits."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from exports import build, load, open_predictor
from snas_nni import Budget
from snas_nni.errors import SettingError
from snas_nni.resources import count_child
from trials.cli import main
from trials.data.loaders import evaluation_loader
from trials.data.sources import load_data
from trials.progress import Progress
from trials.runs.derive import restore
from trials.runs.results import warnings_of
from trials.runs.teaching.teachers import find_distillation, original_network
from trials.settings.search import DataSettings, SpaceSettings
from trials.settings.tuning import DistillationSettings
from trials.training.evaluation import evaluate, torch_predictor
from trials.verbs.shrink import read_shrink_settings

sys.path.append(str(Path(__file__).parent))
MODEL = "small_digits_network.make"
EXAMPLE = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def digits():
    return load_data(DataSettings(), Progress(quiet=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The network with weights that move its BatchNorm statistics, as a safetensors file."""
    import small_digits_network

    torch.manual_seed(0)
    network = small_digits_network.make()
    network(torch.randn(32, 1, 8, 8))
    path = tmp_path_factory.mktemp("given") / "model.safetensors"
    save_file(network.state_dict(), path)
    return network.eval(), path


@pytest.fixture(scope="module")
def shrunk(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("shrink") / "run"
    words = ["--model", MODEL, "--weights", str(trained[1]), "--max-macs", "60%", "--max-params=70%"]
    fast = ["--search.batch_size=256", "--tune-epochs", "1", "--accelerator=cpu", "--quiet"]
    assert main(["shrink", *words, *fast, f"--output={output}", "--as-code", str(output.parent / "child.py")]) == 0
    return output


@pytest.mark.slow
def test_the_child_is_within_the_shares_and_stands_beside_the_original(trained, shrunk, digits):
    document = json.loads((shrunk / "comparison.json").read_text())
    given, child = count_child(trained[0], EXAMPLE), build(load(shrunk / "architecture.json"), spaces=MODEL)
    assert document["original"]["costs"] == given
    assert document["child"]["costs"] == count_child(child, EXAMPLE)
    summary = json.loads((shrunk / "summary.json").read_text())
    for cost, share in (("macs", 0.6), ("params", 0.7)):
        assert document["child"]["costs"][cost] <= summary["budget"][cost] == pytest.approx(share * given[cost])
    for name, network in (("original", trained[0]), ("child", child)):
        measured = evaluate(torch_predictor(network), evaluation_loader(digits, digits.test)).as_document()
        assert document[name]["test"]["top1"]["right"] == measured["top1"]["right"]
        assert document[name]["onnx_bytes"] > 0
    assert document["child"]["test"]["top1"]["share"] == summary["metrics"]["test_accuracy"]
    said, of_child = (open_predictor(shrunk / f"{name}.onnx").description for name in ("original", "model"))
    assert (said.example, said.class_names) == (of_child.example, of_child.class_names)
    assert said.metrics["test_accuracy"] == document["original"]["test"]["top1"]["share"]


@pytest.mark.slow
def test_the_child_is_the_most_probable_one_by_the_measured_logits(shrunk):
    """Nothing moves the logits after they were measured, so that their order is that of the probabilities on file."""
    document = json.loads((shrunk / "architecture.json").read_text())
    settings = document["settings"]["search"]
    assert (settings["epochs"], settings["settle_epochs"], settings["initial_logits"]) == (1, 1, "sensitivity")
    assert [each for each in warnings_of(shrunk) if "did not move" in each] == []
    restored = restore(shrunk, read_shrink_settings(["--resume", str(shrunk)]), Progress(quiet=True))
    bounds = json.loads((shrunk / "summary.json").read_text())["budget"]
    sample = restored.strategy.selection(Budget(**bounds, fill=True)).current()
    assert {str(label): value for label, value in sample.items()} == document["sample"]


@pytest.mark.slow
def test_other_verbs_take_the_folder(shrunk, tmp_path, capsys):
    assert main(["evaluate", str(shrunk), "--space", MODEL]) == 0
    half = tmp_path / "half"
    assert main(["derive", str(shrunk), "--max-macs", "50%", "--output", str(half), "--quiet"]) == 0
    assert main(["show", str(half)]) == 0
    assert "width" in capsys.readouterr().out


@pytest.mark.slow
def test_the_child_as_code_takes_the_weights_of_the_run(shrunk, tmp_path):
    exported = tmp_path / "exported.py"
    assert main(["export", str(shrunk), "--space", MODEL, "--as-code", str(exported), "--quiet"]) == 0
    assert exported.read_text() == (shrunk.parent / "child.py").read_text()
    child, made = build(load(shrunk / "architecture.json"), spaces=MODEL), runpy.run_path(str(exported))["network"]()
    made.load_state_dict(load_file(shrunk / "weights.safetensors"))
    torch.testing.assert_close(made.eval()(EXAMPLE), child.eval()(EXAMPLE), rtol=0, atol=0)


def test_a_file_for_code_is_refused_before_the_search(tmp_path):
    words = ["shrink", "--model", MODEL, "--max-macs", "60%", f"--output={tmp_path / 'run'}"]
    for more in (["--as-code"], [f"--as-code={tmp_path / 'missing' / 'child.py'}"]):
        assert main([*words, *more]) == 2
    assert not list(tmp_path.iterdir())


def test_the_original_is_the_given_network_with_its_weights(trained, digits):
    space = SpaceSettings(class_path="search_spaces.FromModel", init_args={"model": MODEL, "weights": str(trained[1])})
    torch.testing.assert_close(original_network(space, digits).eval()(EXAMPLE), trained[0](EXAMPLE), rtol=0, atol=0)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_weights_may_be_a_torch_file(trained, digits, tmp_path, key):
    path = tmp_path / "model.pt"
    weights = trained[0].state_dict()
    torch.save(weights if key is None else {key: weights, "epoch": 3}, path)
    settings = DistillationSettings(teacher=MODEL, weights=str(path), weight=0.25)
    found = find_distillation(settings, SpaceSettings(), digits)
    torch.testing.assert_close(found.teacher.eval()(EXAMPLE), trained[0](EXAMPLE), rtol=0, atol=0)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code of the file ran",))


def test_a_torch_file_with_code_is_refused(digits, tmp_path):
    torch.save({"state_dict": Trap()}, tmp_path / "model.pt")
    settings = DistillationSettings(teacher=MODEL, weights=str(tmp_path / "model.pt"))
    with pytest.raises(SettingError, match="cannot be loaded into the model"):
        find_distillation(settings, SpaceSettings(), digits)


def test_short_options_and_defaults():
    words = ["--model", MODEL, "--max-float32-bytes=20k", "--max-macs", "60%", "--search.epochs=3"]
    settings = read_shrink_settings(words)
    assert settings.space.class_path == "search_spaces.FromModel"
    assert settings.space.init_args == {"model": MODEL}
    assert (settings.resources.max_float32_bytes, settings.resources.max_macs) == (20_000, "60%")
    assert (settings.search.epochs, settings.tuning.epochs, settings.distillation.teacher) == (3, 19, "original")
    assert (settings.search.initial_logits, settings.search.settle_epochs) == ("sensitivity", 1)
    assert settings.tuning.learning_rate == settings.training.learning_rate == 0.01


@pytest.mark.parametrize(
    "words",
    [
        ["--training.task=regression"],
        ["--evaluator.class_path=my.module.Training", "--evaluator.metric=val_loss"],
    ],
)
def test_only_classes_have_a_teacher_unasked(words):
    assert read_shrink_settings(["--model", MODEL, *words]).distillation.teacher is None
    settings = read_shrink_settings(["--model", MODEL, *words, "--distillation.teacher=original"])
    assert settings.distillation.teacher == "original"  # which is refused with the data at hand


def test_without_a_model_the_option_is_named():
    with pytest.raises(SettingError, match="--model is missing"):
        read_shrink_settings(["--max-macs", "60%"])


def test_an_original_needs_a_space_from_a_network(digits):
    space = SpaceSettings(init_args={"channels": 2, "cells": 2})
    with pytest.raises(SettingError, match="was not made from a network"):
        find_distillation(DistillationSettings(teacher="original"), space, digits)


@pytest.mark.slow
def test_the_supernet_teaches_its_child_features_too(trained, tmp_path):
    """In the tuning of a search, of a further child, and in a retraining from the search's folder."""
    output, features = tmp_path / "run", "--distillation.features={'0': '0'}"
    words = ["--model", MODEL, "--weights", str(trained[1]), "--max-macs", "60%", "--set", "keep=['0']"]
    fast = ["--search.epochs=2", "--search.batch_size=256", "--tune-epochs=1", "--accelerator=cpu", "--quiet"]
    taught = ["--distillation.teacher=supernet", "--distillation.feature_weight=2"]
    assert main(["shrink", *words, *fast, *taught, features, f"--output={output}"]) == 0
    other = ["derive", str(output), "--max-macs", "55%", "--tune-epochs=1", f"--output={tmp_path / 'other'}", "--quiet"]
    assert main(other) == 0
    retrained = ["retrain", str(output), "--space", MODEL, "--recipe", "modern", "--weights", "inherit", *taught]
    short = ["--training.epochs=1", "--training.warmup_epochs=0", "--training.mixup=0", "--training.cutmix=0"]
    quiet = ["--accelerator=cpu", "--quiet", f"--output={tmp_path / 'retrained'}"]
    assert main([*retrained, features.replace("}", ", '9': '9'}"), *short, *quiet]) == 2
    assert main([*retrained, features, *short, *quiet]) == 0
    assert main(["retrain", str(tmp_path / "other"), *retrained[2:], *short, f"--output={tmp_path / 'no'}"]) == 2
