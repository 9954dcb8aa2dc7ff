"""``nnictl stop`` and ``nnictl resume``: the trial goes on from its checkpoint, and its curve has each epoch once."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from trials.manager import environment, free_port, nnictl
from trials.trial_records import metric_value

pytestmark = pytest.mark.proof

PATIENCE = 300.0
EPOCHS = 30
SEARCH = (
    "--space.init_args.channels=2 --space.init_args.cells=1 --space.init_args.nodes=1 --search.batch_size=128 "
    f"--search.epochs={EPOCHS} --checkpoint.every_steps=3 --accelerator=cpu"
)
EXPERIMENT = f"""\
trialCommand: snas-nni search {SEARCH}
trialConcurrency: 1
maxTrialNumber: 1
searchSpace:
  seed: {{_type: choice, _value: [4]}}
experimentWorkingDirectory: ./nni-experiments
tuner: {{name: Random}}
trainingService: {{platform: local}}
"""


class Experiment:
    """A real experiment of one trial, in a home directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "experiment.yml").write_text(EXPERIMENT)
        self.nnictl("create", "--config", "experiment.yml", "--port", str(self.port))
        self.id: str = self.get("experiment")["id"]

    def nnictl(self, *words: str) -> None:
        variables = {**environment(local=True), "HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            nnictl(*words),
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/nni/{path}", timeout=20) as response:
            return json.load(response)

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        return [metric for metric in self.get("metric-data") if metric["type"] == kind]

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, [self.get("trial-jobs"), self.trial_output()]
            time.sleep(0.2)

    def trial_output(self) -> str:
        return "".join(path.read_text() for path in self.folder.rglob("trial.std*"))

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME") == str(self.folder):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def experiment(tmp_path: Path):
    started = Experiment(tmp_path)
    yield started
    started.nnictl("stop", started.id)
    _, alive = psutil.wait_procs(started.processes(), timeout=20)
    for process in alive:
        process.kill()
    assert alive == []


@pytest.mark.fault("nnictl stop, then nnictl resume")
def test_a_resumed_trial_goes_on_from_its_checkpoint(experiment: Experiment, tmp_path: Path) -> None:
    from benchmarks.faults.comparison import differences

    experiment.wait_for(lambda: len(experiment.metrics("PERIODICAL")) >= 3)
    experiment.nnictl("stop", experiment.id)
    psutil.wait_procs(experiment.processes(), timeout=20)
    (output,) = experiment.folder.glob(f"nni-experiments/{experiment.id}/environments/*/trials/*/search")
    reached = sorted(path.name for path in (output / "checkpoints").glob("*.ckpt"))
    assert reached
    assert not (output / "summary.json").exists(), "stopped too late to show anything"

    experiment.nnictl("resume", experiment.id, "--port", str(experiment.port))
    experiment.wait_for(lambda: experiment.get("check-status")["status"] == "DONE")
    (job,) = experiment.get("trial-jobs")
    assert job["status"] == "SUCCEEDED", experiment.trial_output()
    assert f"going on from {reached[-1]}" in (output.parent / "trial.log").read_text()
    assert sorted(path.name for path in output.parent.iterdir() if path.is_dir()) == ["search"]

    curve = experiment.metrics("PERIODICAL")
    assert [metric["sequence"] for metric in curve] == list(range(EPOCHS))
    assert [metric_value(metric["data"])["epoch"] for metric in curve] == list(range(1, EPOCHS + 1))
    assert len(experiment.metrics("FINAL")) == 1

    uninterrupted = tmp_path / "uninterrupted"
    subprocess.run(
        ["snas-nni", "search", *SEARCH.split(), "--seed=4", f"--output={uninterrupted}"],
        env={**environment(local=True), "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert differences(uninterrupted, output) == []
