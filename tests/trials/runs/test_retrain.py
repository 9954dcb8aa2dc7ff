"""Retraining: what it writes, what it refuses, that it can be cut anywhere and can go on from a search's weights."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from exports import Architecture, ArchitectureFileError, build, load, published, read_architecture, save, save_weights
from search_spaces import SnasCellSpace
from snas_nni.derivation.child import build_child
from snas_nni.errors import SettingError, SnasError
from trials.cli import main
from trials.data.sources import load_data
from trials.progress import Progress
from trials.runs.retrain import run_retrain
from trials.runs.retrain_child import build_for, find_architecture, inherit_weights
from trials.settings.retrain import ChildSettings, RetrainSettings
from trials.settings.search import DataSettings
from trials.training.callbacks import BestWeights, EpochReport
from trials.verbs.retrain import read_retrain_settings

TINY = ("--space.init_args.channels=2", "--space.init_args.cells=2", "--accelerator=cpu", "--quiet")
SMALL: RetrainSettings = read_retrain_settings(
    ["mild", *TINY, "--training.epochs=3", "--training.batch_size=256", "--training.drop_path=0.3", "--seed=5"]
)


@pytest.fixture(scope="module")
def digits():
    return load_data(DataSettings(), Progress(quiet=True))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("retrain") / "output"
    run_retrain(replace(SMALL, output=str(output)))
    return output


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """An architecture file with weights, as a search leaves it: BatchNorm not affine, statistics that moved."""
    arguments = {"channels": 2, "cells": 2, "in_channels": 1, "classes": 10}
    sample = published("aggressive").sample
    child = build_child(SnasCellSpace, arguments, sample)
    for _ in range(2):
        child(torch.randn(8, 1, 8, 8))
    architecture = Architecture.create(space=SnasCellSpace(**arguments), sample=sample, child=child)
    path = tmp_path / "searched" / "architecture.json"
    path.parent.mkdir()
    save(
        architecture.with_weights("weights.safetensors", save_weights(child, path.parent / "weights.safetensors")), path
    )
    return path


def test_writes_everything(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert all((finished / name).is_file() for name in summary["files"])
    metrics = summary["metrics"]
    assert summary["test"]["top1"]["share"] == metrics["test_accuracy"]
    assert summary["onnx"]["test"]["top1"] == summary["test"]["top1"]
    assert summary["onnx"]["different_decisions"] == 0
    assert 1 <= metrics["epoch"] <= 3
    assert metrics["validation_accuracy"] >= summary["last"]["validation_accuracy"]
    architecture = load(finished / "architecture.json")
    assert architecture.space.arguments == {
        "channels": 2, "cells": 2, "affine": True, "in_channels": 1, "classes": 10
    }  # fmt: skip
    assert architecture.cells == published("mild").cells
    assert read_architecture(finished / "model.onnx").sample == architecture.sample
    for folder in (finished, finished / "last"):
        assert build(load(folder / "architecture.json"))(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.slow
def test_a_modern_retraining_can_be_cut_too(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modern = [
        "mild", *TINY, "--recipe=modern", "--training.epochs=3", "--training.batch_size=128", "--seed=5",
        "--training.warmup_epochs=1", "--training.accumulate_batches=2", f"--distillation.teacher={finished}",
    ]  # fmt: skip
    settings = read_retrain_settings(modern)
    assert (settings.training.optimizer, settings.training.cutmix, settings.data.crop_padding) == ("SGD", 1.0, None)
    run_retrain(replace(settings, output=str(tmp_path / "whole")))
    assert_cut_run_is_whole(settings, tmp_path / "whole", tmp_path, monkeypatch)


@pytest.mark.slow
def test_resumed_run_is_the_uninterrupted_one(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_cut_run_is_whole(SMALL, finished, tmp_path, monkeypatch)


def assert_cut_run_is_whole(small: RetrainSettings, whole: Path, tmp_path: Path, monkeypatch) -> None:
    original = EpochReport.on_train_epoch_end

    def cut_after_two(self, trainer, pl_module) -> None:
        original(self, trainer, pl_module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EpochReport, "on_train_epoch_end", cut_after_two)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_retrain(replace(small, output=str(tmp_path / "cut")))
    assert not (tmp_path / "cut" / "summary.json").exists()
    assert (tmp_path / "cut" / "architecture.json").exists()
    torch.rand(7)  # the resumed process has another past
    settings = read_retrain_settings(["--resume", str(tmp_path / "cut"), "--output", str(tmp_path / "rest"), "--quiet"])
    assert replace(settings, resume=None, output=None) == small
    run_retrain(settings)
    for name in ("weights.safetensors", "last/weights.safetensors"):
        expected, rest = (load_file(folder / name) for folder in (whole, tmp_path / "rest"))
        assert expected.keys() == rest.keys()
        assert all(torch.equal(expected[each], rest[each]) for each in expected)


def test_inherited_weights_give_the_child_s_logits(searched: Path, digits) -> None:
    architecture = load(searched)
    images = digits.test.inputs[:5]
    retrained = build_for(architecture, ChildSettings(init_args={"affine": True}), digits)
    inherited = inherit_weights(retrained.child, architecture)
    with torch.no_grad():
        torch.testing.assert_close(retrained.child.eval()(images), build(architecture).eval()(images))
    assert inherited.unused == ()
    assert all(name.endswith(("norm.weight", "norm.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"))
               for name in inherited.new)  # fmt: skip
    assert str(inherited).startswith(f"{len(inherited.taken)} tensors inherited, {len(inherited.new)} new (cells.")


def test_weights_of_another_shape_are_refused(searched: Path, digits) -> None:
    architecture = load(searched)
    retrained = build_for(architecture, ChildSettings(init_args={"channels": 4}), digits)
    before = {name: value.clone() for name, value in retrained.child.state_dict().items()}
    with pytest.raises(SettingError, match=r"cannot inherit: .* stem\.conv\.weight, \(6, 1, 3, 3\).*\(12, 1, 3, 3\)"):
        inherit_weights(retrained.child, architecture)
    assert all(torch.equal(before[name], value) for name, value in retrained.child.state_dict().items())


def test_weights_of_other_names_are_refused(searched: Path, digits) -> None:
    architecture = load(searched)
    retrained = build_for(architecture, ChildSettings(), digits)
    file = searched.parent / "weights.safetensors"
    save_file({"elsewhere": torch.zeros(1)}, file)
    with pytest.raises(ArchitectureFileError, match="sha256"):
        inherit_weights(retrained.child, architecture)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(SettingError, match="no tensor name in common"):
        inherit_weights(retrained.child, replace(architecture, sha256=digest))


@pytest.mark.slow
def test_an_auxiliary_head_is_trained_but_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    settings = read_retrain_settings(
        ["aggressive", *TINY, "--recipe=digits", "--space.init_args.cells=3", "--space.init_args.auxiliary=true",
         "--data.source=large_digits.few_large_digits", "--training.epochs=1", f"--output={tmp_path / 'output'}",
         "--training.schedule=exponential", "--training.initialisation=fan_out"]
    )  # fmt: skip
    run_retrain(settings)
    weights = load_file(tmp_path / "output" / "weights.safetensors")
    head = sum(value.numel() for name, value in weights.items() if name.startswith("auxiliary_head."))
    assert head > 400_000
    model = onnx.load(tmp_path / "output" / "model.onnx")
    assert sum(onnx.numpy_helper.to_array(each).size for each in model.graph.initializer) < 10_000
    assert len(model.graph.output) == 1
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert {"Dropout", "Bernoulli", "RandomUniform"}.isdisjoint(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no_such.json"], ["no_such.json"]),
        ([], ["architecture is missing"]),
        (["mild", "--space.init_args.chanels=3"], ["space.init_args.chanels", "channels"]),
        (["mild", "--space.init_args.cells=1"], ["changes its choices with channels, cells", "reduction/edge"]),
        (["mild", "--space.init_args.nodes=2"], ["changes its choices", "lacks 18"]),
        (["mild", "--space.init_args.channels=0"], ["space.init_args", "channels is 0"]),
        (["mild", "--space.init_args.cells=3", "--space.init_args.auxiliary=true"], ["auxiliary head", "2x2"]),
        (["mild", "--space.init_args.classes=3"], ["space.init_args", "(3,)", "10 classes"]),
        (["mild", "--weights=inherit"], ["weights"]),
        (["mild", "--recipe=imagenet", "--data.source=digits"], ["augmentation.random_resized_crop", "8 x 8"]),
        (["mild", "--accelerator=tpu"], ["accelerator"]),
    ],
)  # fmt: skip
def test_mistakes_are_named(
    arguments: list[str], named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrain", *arguments[:1], *TINY[:2], *TINY[3:], *arguments[1:], f"--output={tmp_path / 'new'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    for word in named:
        assert word in error


def test_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    settings = replace(SMALL, output=str(tmp_path / "new"))
    settings = replace(settings, training=replace(settings.training, learning_rate=1e30, gradient_clip=None))
    with pytest.raises(SnasError, match=r"training\.learning_rate"):
        run_retrain(settings)


def test_best_weights_prefer_accuracy_and_then_loss() -> None:
    class Trainer:
        is_global_zero = True
        current_epoch = 0

    saved: list[tuple[int, float]] = []
    best = BestWeights(lambda weights, epoch, accuracy: saved.append((epoch, accuracy)))
    module, trainer = torch.nn.Module(), Trainer()
    module.model = torch.nn.Linear(1, 1)
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.4, 0.1), (0.5, 0.9), (0.5, 0.9), (0.6, 2.0)]):
        trainer.current_epoch, trainer.callback_metrics = epoch, {"val_acc": accuracy, "val_loss": loss}
        best.on_train_epoch_end(trainer, module)
    assert saved == [(1, 0.5), (3, 0.5), (5, 0.6)]
    again = BestWeights(lambda weights, epoch, accuracy: saved.append((epoch, accuracy)))
    again.load_state_dict(best.state_dict())
    again.on_train_start(trainer, module)
    assert saved[-1] == (5, 0.6)
    assert again.weights.keys() == module.model.state_dict().keys()


def test_architectures_by_file_folder_and_name(searched: Path) -> None:
    assert find_architecture(str(searched)) == find_architecture(str(searched.parent))
    assert find_architecture("moderate") == published("moderate")


@pytest.mark.slow
def test_two_devices(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("snas-nni"), "retrain", "aggressive", *TINY[:3], "--devices=2"]
    command += ["--training.epochs=2", "--training.batch_size=128", f"--output={tmp_path / 'output'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 2/2") == 1
    assert (tmp_path / "output" / "summary.json").is_file()
