"""One search over two nodes of one process each is, bit for bit, the one over one node with two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trials.experiments.manager import free_port

pytestmark = pytest.mark.machines

PROGRAM = Path(__file__).parents[1] / "snas_nni" / "one_shot" / "devices_program.py"
SKIPPING = {"skip_tolerance": 0.2, "initial_temperature": 0.5, "final_temperature": 0.05}
CASES = {
    "relaxed": {"strategy": {**SKIPPING, "samples_per_step": 2, "accumulate_batches": 2}, "other_seed_of_rank": 7},
    "bilevel": {"strategy": {**SKIPPING, "bilevel": True}, "other_seed_of_rank": 7},
}
VARIABLES = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def run(folder: Path, launches: list[list[str]]) -> dict[str, list[dict[str, object]]]:
    """Start a program for each node; return what each of the two processes found in each case."""
    document = json.dumps([{"output": str(folder / name), **case} for name, case in CASES.items()])
    nodes = [
        subprocess.Popen(
            [*TORCHRUN, *words, str(PROGRAM), document], env=VARIABLES, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        for words in launches
    ]  # fmt: skip
    for node in nodes:
        output, errors = node.communicate(timeout=300)
        assert node.returncode == 0, (output + errors)[-3000:]
    return {
        name: [torch.load(folder / name / f"rank{rank}.pt", weights_only=True) for rank in range(2)] for name in CASES
    }


def test_two_nodes_are_one_node_with_two_processes(tmp_path: Path) -> None:
    port = free_port()
    nodes = [
        ["--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
        for rank in range(2)
    ]
    many = run(tmp_path / "many", nodes)
    one = run(tmp_path / "one", [["--standalone", "--nproc-per-node=2"]])
    for name in CASES:
        for node, process in zip(many[name], one[name], strict=True):
            for part in ("logits", "weights", "child"):
                assert node[part].keys() == process[part].keys()
                assert all(torch.equal(node[part][key], process[part][key]) for key in node[part]), (name, part)
            assert node["sample"] == process["sample"]


def test_the_command_says_that_it_is_for_one_node(tmp_path: Path) -> None:
    variables = {**VARIABLES, "GROUP_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "trials.cli", "search", "--output", str(tmp_path / "run")],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "runs on one node" in done.stderr
    assert not (tmp_path / "run").exists()
