"""Lightning's loggers by name: what they keep of a run, and that a resumed run goes on in the same one."""

import csv
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from snas_nni.errors import SettingError, SnasError
from trials.runs.search import run_search
from trials.settings.run import logger_names
from trials.settings.search import DataSettings, RunSettings, SearchSettings, SpaceSettings
from trials.state.checkpoint_callback import Checkpoints
from trials.training.loggers import log_result, loggers_of

missing = {name: importlib.util.find_spec(name) is None for name in ("mlflow", "wandb", "tensorboard")}
needs_mlflow = pytest.mark.skipif(missing["mlflow"], reason="mlflow-skinny is not installed")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")


def runs_in(store):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(Path(store).resolve().as_uri())
    (experiment,) = (each for each in client.search_experiments() if each.name == "snas-nni")
    return client, client.search_runs([experiment.experiment_id])


@needs_mlflow
@pytest.mark.slow
def test_a_search_is_logged_with_its_settings_numbers_and_files(tmp_path):
    settings = RunSettings(
        space=SpaceSettings(init_args={"channels": 2, "cells": 1, "nodes": 1}),
        search=SearchSettings(epochs=1, batch_size=256, settle_epochs=0),
        data=DataSettings(validation_fraction=0.3),
        output=str(tmp_path / "out"),
        logger="csv,mlflow,tensorboard" if not missing["tensorboard"] else "csv,mlflow",
        quiet=True,
        seed=3,
    )
    result = run_search(settings)
    client, (run,) = runs_in("mlruns")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.runName"] == "out"
    assert run.data.params["seed"] == "3"
    assert run.data.params["search/epochs"] == "1"
    assert run.data.metrics["result/test_accuracy"] == pytest.approx(result.metrics["test_accuracy"])
    assert "val_acc" in run.data.metrics
    kept = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert kept == {"architecture.json", "weights.safetensors", "model.onnx", "report.html"}
    with open("out/csv/metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["val_acc"] for row in rows} - {""}
    assert {row["result/test_accuracy"] for row in rows} - {""}
    assert Path("out/csv/hparams.yaml").is_file()
    assert json.loads(Path("out/loggers.json").read_text()) == {"mlflow": run.info.run_id}


@needs_mlflow
def test_a_resumed_run_goes_on_in_the_same_run(tmp_path):
    (first,) = loggers_of("mlflow", tmp_path, 0, {"seed": 1})
    first.log_metrics({"loss": 3.0}, step=1)
    first.after_save_checkpoint(None)
    first.log_metrics({"loss": 2.5}, step=2)  # of a step that no checkpoint has, so that it comes again
    first.finalize("failed")
    _, (run,) = runs_in("mlruns")
    assert run.info.status == "FAILED"
    (second,) = loggers_of("mlflow", tmp_path, 2, {"seed": 1, "devices": 2})
    _, (run,) = runs_in("mlruns")
    assert run.info.status == "RUNNING"
    second.log_metrics({"loss": 2.0}, step=2)
    second.finalize("success")
    client, (run,) = runs_in("mlruns")
    assert run.info.status == "FINISHED"
    assert [each.value for each in client.get_metric_history(run.info.run_id, "loss")] == [3.0, 2.0]
    assert run.data.params == {"seed": "1"}


@needs_mlflow
@pytest.mark.slow
@pytest.mark.parametrize("cut", ["on_train_batch_end", "on_train_epoch_end"])
def test_a_run_that_was_cut_has_each_number_once(tmp_path, monkeypatch, cut):
    settings = RunSettings(
        space=SpaceSettings(init_args={"channels": 2, "cells": 1, "nodes": 1}),
        search=SearchSettings(epochs=3, batch_size=256, settle_epochs=0),
        data=DataSettings(validation_fraction=0.3),
        output=str(tmp_path / "out"),
        logger="mlflow",
        quiet=True,
        seed=3,
    )
    original = getattr(Checkpoints, cut)

    def cut_in_the_second_epoch(self, trainer, *rest):
        original(self, trainer, *rest)
        if trainer.current_epoch == 1:
            raise RuntimeError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, cut, cut_in_the_second_epoch)
        with pytest.raises(SnasError, match="cut"):
            run_search(settings)
    run_search(replace(settings, resume=str(tmp_path / "out"), output=str(tmp_path / "out")))
    client, (run,) = runs_in("mlruns")
    # Lightning logs an epoch's training numbers after its end: a run that is cut there never does.
    for name in ("val_acc", "train_loss") if cut == "on_train_batch_end" else ("val_acc",):
        steps = [each.step for each in client.get_metric_history(run.info.run_id, name)]
        assert len(steps) == len(set(steps)) == 3, (name, steps)


def test_rows_from_before_the_cut_stay_and_later_ones_come_again(tmp_path):
    (first,) = loggers_of("csv", tmp_path, 0, {"seed": 1})
    for step in (1, 2, 3):
        first.log_metrics({"loss": float(step)}, step=step)
    first.save()
    (second,) = loggers_of("csv", tmp_path, 3, {"seed": 1})
    second.log_metrics({"loss": 30.0, "more": 1.0}, step=3)
    second.save()
    with (tmp_path / "csv" / "metrics.csv").open(newline="") as stream:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(stream)]
    assert rows == [(1, 1.0), (2, 2.0), (3, 30.0)]


@pytest.mark.skipif(missing["wandb"], reason="wandb is not installed")
def test_wandb_offline_keeps_one_run(tmp_path):
    for name in ("architecture.json", "summary.json"):
        (tmp_path / name).write_text("{}")
    (first,) = loggers_of("wandb", tmp_path, 0, {"seed": 1})
    first.log_metrics({"loss": 1.0}, step=1)
    identity = first.experiment.id
    assert first.experiment.config["seed"] == 1
    assert log_result([first], tmp_path, {"test_accuracy": 0.5}) == []
    (second,) = loggers_of("wandb", tmp_path, 2, {"seed": 1})
    assert second.experiment.id == identity == json.loads((tmp_path / "loggers.json").read_text())["wandb"]
    second.experiment.finish()
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{identity}"))) >= 1


def test_names_and_packages(tmp_path, monkeypatch):
    assert logger_names("csv, mlflow,csv") == ["csv", "mlflow"]
    with pytest.raises(SettingError, match="logger: there is no 'neptune'; there are tensorboard, csv, mlflow, wandb"):
        RunSettings(logger="csv,neptune")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    for name in ("mlflow", "wandb"):
        with pytest.raises(SettingError, match=rf"pip install 'snas-nni\[{name}\]'"):
            loggers_of(name, tmp_path, 0, {})


@needs_mlflow
def test_a_logger_that_cannot_begin_and_one_that_is_gone_at_the_end(tmp_path, monkeypatch):
    (logger,) = loggers_of("mlflow", tmp_path, 0, {})
    (tmp_path / "loggers.json").write_text(json.dumps({"mlflow": "0" * 32}))
    with pytest.raises(SettingError, match="logger: mlflow cannot begin"):
        loggers_of("mlflow", tmp_path, 1, {})
    (tmp_path / "loggers.json").write_text(json.dumps({"mlflow": "../x"}))
    with pytest.raises(SettingError, match=r"loggers\.json: must hold"):
        loggers_of("mlflow", tmp_path, 1, {})
    monkeypatch.setattr(type(logger.experiment), "log_batch", lambda *_, **__: (_ for _ in ()).throw(OSError("gone")))
    (said,) = log_result([logger], tmp_path, {"test_accuracy": 1.0})
    assert said == "MLFlow did not take the result: gone"
