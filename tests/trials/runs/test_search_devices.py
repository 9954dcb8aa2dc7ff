"""``snas-nni search --devices 2``: two processes, one result, one signal for both."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = [str(Path(sys.executable).with_name("snas-nni")), "search"]
SMALL = ["--data.source=digits", "--space.init_args.channels=2", "--space.init_args.cells=1", "--devices=2"]
SMALL += ["--space.init_args.nodes=1", "--accelerator=cpu", "--search.batch_size=128"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path), "GLOO_SOCKET_IFNAME": "lo"}


@pytest.mark.proof
@pytest.mark.fault("one of several processes is stopped (SIGSTOP), then SIGTERM twice")
def test_a_second_signal_quits_while_another_process_is_stopped(tmp_path: Path, environment: dict[str, str]) -> None:
    output = tmp_path / "output"
    words = [*COMMAND, *SMALL, "--search.epochs=400", f"--output={output}"]
    with subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(output.glob("checkpoints/*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        followers = psutil.Process(process.pid).children(recursive=True)
        assert followers
        followers[0].suspend()
        time.sleep(2)  # until the first process waits for it
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert time.monotonic() - begin < 10
    assert not psutil.wait_procs(followers, timeout=30)[1]


@pytest.mark.proof
@pytest.mark.fault("one of several processes is killed")
def test_a_process_that_is_killed_is_told_in_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    output = tmp_path / "output"
    words = [*COMMAND, *SMALL, "--search.epochs=400", f"--output={output}"]
    with subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(output.glob("checkpoints/*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        followers = psutil.Process(process.pid).children(recursive=True)
        followers[0].kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    (line,) = errors.splitlines()
    assert "a process that trains beside this one ended" in line
    assert f"go on from it with --resume {output}" in line
    assert not psutil.wait_procs(followers, timeout=30)[1]


@pytest.mark.slow
def test_one_result_also_after_a_signal_and_a_resumption(tmp_path: Path, environment: dict[str, str]) -> None:
    output = tmp_path / "output"
    words = [*COMMAND, *SMALL, "--search.epochs=400", "--checkpoint.keep=1", f"--output={output}"]
    with subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(output.glob("checkpoints/*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list(output.glob("checkpoints/*"))
        followers = psutil.Process(process.pid).children(recursive=True)
        assert followers
        process.send_signal(signal.SIGTERM)  # a scheduler tells the first process; the second hears of it from there
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert errors.count("stopped. The last good checkpoint is") == 1
    assert not psutil.wait_procs(followers, timeout=30)[1]
    done = int(next((output / "checkpoints").iterdir()).name.split("-")[1])

    settings = output / "settings.yml"  # a search of 400 epochs would take too long
    settings.write_text(settings.read_text().replace("epochs: 400", f"epochs: {done + 2}"))
    resumed = subprocess.run(
        [*COMMAND, "--resume", str(output)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,  # two processes in step take minutes on a busy machine
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("going on from") == 1
    assert resumed.stdout.count(f"epoch {done + 2}/{done + 2}") == 1
    assert resumed.stdout.count("child:") == 1
    summary = json.loads((output / "summary.json").read_text())
    assert summary["metrics"]["test_accuracy"] > 0
    table = (output / "metrics.csv").read_text().splitlines()
    assert len(table) == 1 + done + 2
    assert not (tmp_path / "runs").exists()
