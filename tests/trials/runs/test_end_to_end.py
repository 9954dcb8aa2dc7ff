"""True NNI experiments, launched as a user launches them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest

from trials.data.sources import load_data
from trials.progress import Progress
from trials.settings.search import DataSettings

pytestmark = pytest.mark.slow

PATIENCE = 300.0  # seconds; a minute is usual, a busy machine takes several
COMMAND = Path(sys.executable).with_name("snas-nni")
EXPERIMENT = """\
trialCommand: {command}
trialConcurrency: {concurrency}
maxTrialNumber: {trials}
maxExperimentDuration: 5m
searchSpace:
  seed: {{_type: choice, _value: [1, 2, 3, 4, 5, 6]}}
  search.final_temperature: {{_type: uniform, _value: [0.03, 0.3]}}
experimentWorkingDirectory: ./nni-experiments
tuner: {{name: TPE, classArgs: {{optimize_mode: maximize, seed: 1}}}}
trainingService: {{platform: local}}
"""
SMALL = (
    "snas-nni search --space.init_args.channels 2 --space.init_args.cells 1 --space.init_args.nodes 1 "
    "--search.epochs 2 --search.batch_size 128"
)


def start(folder: Path, command: str, trials: int = 1, concurrency: int = 1) -> subprocess.Popen[str]:
    (folder / "experiment.yml").write_text(EXPERIMENT.format(command=command, trials=trials, concurrency=concurrency))
    return subprocess.Popen(
        [COMMAND, "launch", "experiment.yml"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def record_of(folder: Path) -> dict:
    (file,) = (folder / "runs").glob("*/experiment.json")
    return json.loads(file.read_text())


def leftovers(folder: Path) -> list[list[str]]:
    """Processes whose command line or folder is the experiment's."""
    found = []
    for process in psutil.process_iter():
        try:
            line, place = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        if any(str(folder) in word for word in line) or place.startswith(str(folder)):
            found.append(line)
    return found


def listening_addresses(folder: Path) -> set[str]:
    """Addresses on which the experiment's processes can be reached."""
    addresses = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in process.cmdline()):
                connections = process.net_connections(kind="inet")
                addresses |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    return addresses


def test_two_trials_side_by_side(tmp_path: Path) -> None:
    # Side by side, because then NNI hands out parameters in another order than it lists them.
    process = start(tmp_path, SMALL, trials=2, concurrency=2)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + errors
    assert leftovers(tmp_path) == []

    record = record_of(tmp_path)
    assert [trial["status"] for trial in record["trials"]] == ["SUCCEEDED", "SUCCEEDED"]
    accuracies = {}
    for trial in record["trials"]:
        summary = json.loads((Path(trial["final"]["output"]) / "summary.json").read_text())
        assert trial["parameters"] == summary["tuned"]
        assert summary["settings"]["seed"] == trial["parameters"]["seed"]
        assert trial["final"]["default"] == summary["metrics"]["validation_accuracy"]
        assert trial["latest"]["epoch"] == 2
        assert trial["latest"]["temperature"] == pytest.approx(
            trial["parameters"]["search.final_temperature"], rel=1e-5
        )
        # Nothing is lost between the supernet at its mode and the child on disk.
        assert trial["latest"]["default"] == pytest.approx(trial["final"]["default"], abs=1e-6)
        accuracies[trial["id"]] = trial["final"]["default"]
    assert accuracies[record["best"]] == max(accuracies.values())

    best = Path(record["best_folder"])
    assert best == tmp_path / "runs" / record["id"] / "best"
    assert str(Path("runs") / record["id"] / "best" / "model.onnx") in output
    summary = json.loads((best / "summary.json").read_text())
    data = load_data(DataSettings(), Progress(quiet=True))
    session = onnxruntime.InferenceSession(str(best / "model.onnx"))
    images = data.normalisation(data.test.inputs).numpy()
    (logits,) = session.run(None, {session.get_inputs()[0].name: images})
    accuracy = float(np.mean(logits.argmax(axis=1) == data.test.labels.numpy()))
    assert accuracy == pytest.approx(summary["metrics"]["test_accuracy"], abs=0.003)

    shown = subprocess.run([COMMAND, "show", best / "architecture.json"], capture_output=True, text=True, check=True)
    assert "validation_accuracy" in shown.stdout


def test_only_failing_trials(tmp_path: Path) -> None:
    process = start(tmp_path, "snas-nni search --search.epochs 0")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "search.epochs is 0" in errors
    assert "Traceback" not in errors
    assert [trial["status"] for trial in record_of(tmp_path)["trials"]] == ["FAILED"]
    assert leftovers(tmp_path) == []


def test_interrupt_stops_everything(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep 100")
    deadline = time.monotonic() + PATIENCE
    while not any("sleep" in line for line in leftovers(tmp_path)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.5)
    assert listening_addresses(tmp_path) == {"127.0.0.1"}  # the manager has no password
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "go on with: snas-nni launch" in errors
    assert leftovers(tmp_path) == []
