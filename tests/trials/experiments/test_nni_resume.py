"""``nnictl stop`` and ``nnictl resume``: the trial goes on from its checkpoint, and its curve has each epoch once."""

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from trials.experiments.manager import environment, free_port, nnictl
from trials.experiments.trial_records import metric_value

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


@pytest.mark.fault("an experiment is interrupted, then launched again")
def test_launch_goes_on_with_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)
    variables = {**environment(local=True), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def launch(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["snas-nni", "launch", "experiment.yml", *words],
            cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = launch()
    deadline = time.monotonic() + PATIENCE
    while len(list(tmp_path.glob("nni-experiments/*/environments/*/trials/*/search/checkpoints/epoch-000003*"))) == 0:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    (record,) = (tmp_path / "runs").glob("*/experiment.json")
    experiment = json.loads(record.read_text())
    assert f"--resume {experiment['id']}" in errors

    process = launch("--resume", experiment["id"])
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + errors
    (trial,) = json.loads(record.read_text())["trials"]
    assert trial["status"] == "SUCCEEDED"
    assert trial["latest"]["epoch"] == EPOCHS
    assert "going on from epoch-" in (Path(trial["folder"]) / "trial.log").read_text()


@pytest.mark.fault("two launches at once with one output folder")
def test_two_launches_at_once_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "experiment.yml").write_text(EXPERIMENT.replace(f"snas-nni search {SEARCH}", "sleep 3"))
    variables = {**environment(local=True), "HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            ["snas-nni", "launch", "experiment.yml"], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        process.communicate(timeout=PATIENCE)
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/experiment.json")]
    assert len({record["id"] for record in records}) == 2
    assert [record["trials"][0]["status"] for record in records] == ["SUCCEEDED", "SUCCEEDED"]
