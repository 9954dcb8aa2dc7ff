"""Trials on two machines reached by SSH: searched there, fetched from there, and gone on with after a failure there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import psutil
import pytest
from ssh_machine import WORK, Machine

from benchmarks.faults.comparison import differences
from trials.experiments.manager import environment

pytestmark = [pytest.mark.machines, pytest.mark.ssh]

PATIENCE = 300.0
SPACE = "--space.init_args.channels=2 --space.init_args.cells=1 --space.init_args.nodes=1"
SEARCH = f"{SPACE} --search.batch_size=128 --checkpoint.every_steps=3 --accelerator=cpu"


def experiment_file(folder: Path, machines: list[Machine], key: Path, epochs: int) -> Path:
    document = {
        "trialCommand": f"snas-nni search {SEARCH} --search.epochs={epochs}",
        "trialCodeDirectory": str(folder / "code"),
        "trialConcurrency": len(machines),
        "maxTrialNumber": len(machines),
        "searchSpace": {"seed": {"_type": "choice", "_value": [4, 5][: len(machines)]}},
        "experimentWorkingDirectory": str(folder / "experiments"),
        "nniManagerIp": "127.0.0.1",
        "tuner": {"name": "GridSearch"},
        "trainingService": {
            "platform": "remote",
            "reuseMode": True,
            "machineList": [
                {
                    "host": machine.address,
                    "port": machine.port,
                    "user": "root",
                    "sshKeyFile": str(key),
                    "pythonPath": str(Path(sys.executable).parent),  # a login shell has a PATH of its own
                }
                for machine in machines
            ],
        },
    }
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "README").write_text("NNI cannot send an empty folder.\n")
    path = folder / "experiment.yml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


class Launched:
    """A running ``snas-nni launch``."""

    def __init__(self, folder: Path, file: Path) -> None:
        self._printed = [folder / "stdout", folder / "stderr"]
        with self._printed[0].open("w") as output, self._printed[1].open("w") as errors:
            self.process = subprocess.Popen(
                ["snas-nni", "launch", str(file)],
                cwd=folder,
                env={**environment(local=True), "HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=errors,
            )

    def ends(self, code: int) -> tuple[str, str]:
        """Wait for its end; return what it printed."""
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
        output, errors = (path.read_text() for path in self._printed)
        assert self.process.returncode == code, output + errors
        return output, errors

    def wait_for(self, what: Callable[[], object]) -> None:
        """Wait until something is so, while it runs."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, [path.read_text() for path in self._printed]
            assert time.monotonic() < deadline
            time.sleep(0.3)

    def statuses(self) -> list[str]:
        """Ask the manager how the trials stand."""
        found = re.search(r"http://127.0.0.1:(\d+)", self._printed[0].read_text())
        assert found is not None  # the launcher prints it first
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/api/v1/nni/trial-jobs", timeout=20) as response:
            return [job["status"] for job in json.load(response)]


def on(machine: Machine, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine, as its user does."""
    words = ["ssh", "-q", "-p", str(machine.port), "-i", str(key), "-o", "StrictHostKeyChecking=no"]
    words += ["-o", "UserKnownHostsFile=/dev/null", f"root@{machine.address}", command]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)


def uninterrupted(folder: Path, seed: int, epochs: int) -> Path:
    output = folder / f"uninterrupted-{seed}"
    subprocess.run(
        ["snas-nni", "search", *SEARCH.split(), f"--search.epochs={epochs}", f"--seed={seed}", f"--output={output}"],
        env={**environment(local=True), "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    return output


def test_the_best_child_comes_back_from_the_machine_that_searched_it(
    tmp_path: Path, machines: list[Machine], key: Path
) -> None:
    output, _ = Launched(tmp_path, experiment_file(tmp_path, machines, key, epochs=3)).ends(0)
    (record,) = (tmp_path / "runs").glob("*/experiment.json")
    document = json.loads(record.read_text())
    assert [trial["status"] for trial in document["trials"]] == ["SUCCEEDED"] * 2
    assert {trial["host"] for trial in document["trials"]} == {machine.address for machine in machines}
    for machine in machines:  # each searched on its own disk, and nothing of that is on this one's
        assert len(list(machine.disk.glob("*/trials/*/nnioutput/search/summary.json"))) == 1
    assert not list(WORK.glob(f"{document['id']}/trials/*"))

    (best,) = [trial for trial in document["trials"] if trial["id"] == document["best"]]
    assert best["final"]["default"] == max(trial["final"]["default"] for trial in document["trials"])
    folder = Path(document["best_folder"])
    assert f"fetching the best child from {best['host']}" in output
    (there,) = [found for machine in machines for found in machine.disk.glob(f"*/trials/{best['id']}/nnioutput/search")]
    for name in ("architecture.json", "weights.safetensors", "model.onnx", "summary.json", "metrics.csv"):
        assert (folder / name).read_bytes() == (there / name).read_bytes()
    assert differences(uninterrupted(tmp_path, best["parameters"]["seed"], epochs=3), there) == []
    onnxruntime.InferenceSession(str(folder / "model.onnx"))

    gone = time.monotonic() + 20
    while left := [
        process for machine in machines for process in machine.processes() if "nni" in " ".join(line(process))
    ]:
        assert time.monotonic() < gone, [line(each) for each in left]
        time.sleep(0.5)


def test_a_trial_that_fails_elsewhere_says_why_here(tmp_path: Path, machines: list[Machine], key: Path) -> None:
    file = experiment_file(tmp_path, machines[:1], key, epochs=1)
    file.write_text(file.read_text().replace("--search.epochs=1", "--search.epcohs=1"))
    _, errors = Launched(tmp_path, file).ends(1)
    assert "no trial succeeded; trial 0 failed" in errors
    assert "there is no setting search.epcohs; did you mean search.epochs?" in errors


def line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_machine_that_fails_and_comes_back(tmp_path: Path, machines: list[Machine], key: Path) -> None:
    epochs = 30
    launched = Launched(tmp_path, experiment_file(tmp_path, machines, key, epochs))
    failing, staying = machines
    pattern = "*/trials/*/nnioutput/search/checkpoints/epoch-000003*"
    launched.wait_for(lambda: list(failing.disk.glob(pattern)))
    failing.off()
    search = next(failing.disk.glob(pattern)).parent.parent
    assert not (search / "summary.json").exists(), "too late to show anything"

    # The trial on the other machine ends as if nothing had happened; the experiment waits for the lost one in vain.
    launched.wait_for(lambda: "SUCCEEDED" in launched.statuses())
    assert "RUNNING" in launched.statuses()
    launched.process.send_signal(signal.SIGINT)
    launched.ends(130)
    (record,) = (tmp_path / "runs").glob("*/experiment.json")
    document = json.loads(record.read_text())
    (done,) = [trial for trial in document["trials"] if trial["status"] == "SUCCEEDED"]
    assert done["host"] == staying.address
    assert differences(uninterrupted(tmp_path, done["parameters"]["seed"], epochs), done_on(staying)) == []
    assert (Path(document["best_folder"]) / "model.onnx").is_file()

    # What the lost trial had is on its machine's disk, and goes on there.
    failing.start()
    remote = WORK / search.relative_to(failing.disk)
    resumed = on(failing, key, f"snas-nni search --resume {remote}")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "going on from epoch-" in resumed.stdout
    seed = ({4, 5} - {done["parameters"]["seed"]}).pop()
    assert differences(uninterrupted(tmp_path, seed, epochs), search) == []


def done_on(machine: Machine) -> Path:
    (found,) = machine.disk.glob("*/trials/*/nnioutput/search")
    return found


def test_a_key_that_has_changed_is_refused(tmp_path: Path, machines: list[Machine], key: Path) -> None:
    from pathlib import PurePosixPath

    from trials.experiments.other_machines import FetchError, RemoteMachine, fetch

    machine = machines[0]
    (machine.disk / "child").mkdir()
    (machine.disk / "child" / "summary.json").write_text("{}")
    given = RemoteMachine(machine.address, machine.port, "root", key)
    known = tmp_path / "known_hosts"

    def get(*names: str) -> list[Path]:
        return fetch([given], PurePosixPath(WORK / "child"), names, tmp_path / "here", known)

    assert get("summary.json", "model.onnx") == [tmp_path / "here" / "summary.json"]
    assert "ssh-ed25519" in known.read_text()
    with pytest.raises(FetchError, match=r"none of them is there; fetch them by hand: scp -P \d+ -r root@127.0.0.2:"):
        get("model.onnx")
    machine.off()
    with pytest.raises(FetchError, match="Connection refused|Connection closed"):
        get("summary.json")
    for made in ("host_key", "host_key.pub"):
        os.remove(machine.folder / made)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(machine.folder / "host_key")], check=True)
    machine.start()
    with pytest.raises(FetchError, match="verification failed|Connection closed"):
        get("summary.json")
