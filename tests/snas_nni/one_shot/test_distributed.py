"""A search on two devices: two gloo processes on the CPU, in step, and equal to one process with the same batches."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from snas_nni import SettingError
from snas_nni.one_shot.distributed import devices_of

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("devices_program.py")
SKIPPING = {"skip_tolerance": 0.2, "initial_temperature": 0.5, "final_temperature": 0.05}
ALIKE = {
    "relaxed": SKIPPING,
    "samples and accumulation": {**SKIPPING, "samples_per_step": 2, "accumulate_batches": 2},
    "single path": {**SKIPPING, "sampling": "single_path", "logits_gradient_clip": 0.5},
    "bilevel": {**SKIPPING, "bilevel": True},
}
MANY = {**SKIPPING, "samples_per_step": 4}
CASES = {
    **{name: {"strategy": strategy, "other_seed_of_rank": 7} for name, strategy in ALIKE.items()},
    # The same batch for both: each process's share of the samples is all that makes a difference.
    "spread": {"strategy": {**MANY, "spread_samples": True}, "whole_batches": True},
    "uneven": {"strategy": {**SKIPPING, "samples_per_step": 3, "spread_samples": True}},
    "not finite": {"strategy": {}, "nan_at_step": 2},
}


def start(folder, processes, cases):
    """Run the program; return what each of its processes found in each case."""
    document = [{"output": str(folder / name), **case} for name, case in cases.items()]
    words = [sys.executable]
    if processes > 1:
        words += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [*words, str(PROGRAM), json.dumps(document)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {
        name: [torch.load(folder / name / f"rank{rank}.pt", weights_only=True) for rank in range(processes)]
        for name in cases
    }


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return {name: found[0] for name, found in start(tmp_path_factory.mktemp("one"), 1, CASES).items()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return start(tmp_path_factory.mktemp("two"), 2, {**CASES, "gradients": {"gradients": True}})


def assert_close(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=lambda text, at=name: f"{at}: {text}", **tolerance)


@pytest.mark.parametrize("case", ALIKE)
def test_two_processes_are_in_step_and_equal_to_one(one, two, case):
    alone, (first, second) = one[case], two[case]
    for part in ("logits", "weights", "child"):  # bit for bit: they compute the same from the same
        assert_close(first[part], second[part], rtol=0, atol=0)
        assert_close(first[part], alone[part], rtol=1e-3, atol=1e-5)
    assert first["sample"] == second["sample"] == alone["sample"]
    assert torch.equal(first["generator"], alone["generator"])
    assert len(first["drawn"]) == len(second["drawn"]) == len(alone["drawn"]) >= 12
    for mine, theirs, expected in zip(first["drawn"], second["drawn"], alone["drawn"], strict=True):
        assert_close(mine, theirs, rtol=0, atol=0)
        assert_close(mine, expected, rtol=1e-3, atol=1e-4)
    assert torch.cat([rows.flatten() for rows in first["logits"].values()]).std() > 0.1  # something was learnt
    for name in ("search/loss", "val_loss", "sampled/val_loss", "search/entropy", "search/logit_movement"):
        assert first["metrics"][name] == pytest.approx(alone["metrics"][name], rel=1e-3)
    credits = [name for name in alone["metrics"] if name.startswith("credit/")]
    assert credits
    for name in credits:
        assert first["metrics"][name] == second["metrics"][name]
        assert first["metrics"][name] == pytest.approx(alone["metrics"][name], rel=2e-2, abs=1e-3)


def test_candidates_were_skipped_in_that_comparison(two):
    weights = torch.cat([rows.exp().flatten() for step in two["relaxed"][0]["drawn"] for rows in step.values()])
    assert (weights < SKIPPING["skip_tolerance"] * SKIPPING["final_temperature"]).float().mean() > 0.3


def test_samples_spread_over_processes_are_those_of_one_process(one, two):
    alone, (first, second) = one["spread"], two["spread"]
    assert len(first["drawn"]) == len(second["drawn"]) == len(alone["drawn"]) / 2
    both = [step for pair in zip(first["drawn"], second["drawn"], strict=True) for step in pair]
    for mine, theirs in zip(both, alone["drawn"], strict=True):
        assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
    for part in ("logits", "weights", "child"):
        assert_close(first[part], second[part], rtol=0, atol=0)
        assert_close(first[part], alone[part], rtol=1e-3, atol=1e-5)
    assert first["metrics"]["search/loss"] == pytest.approx(alone["metrics"]["search/loss"], rel=1e-3)


def test_what_stops_one_process_stops_all(one, two):
    for found in two["uneven"]:
        assert "spread_samples: 3 samples_per_step cannot be shared equally by 2 devices" in found["error"]
    assert "error" not in one["uneven"]
    for found in two["not finite"]:  # the loss of one of them only
        assert "the loss is nan at step 2" in found["error"]


def test_gradients_of_few_processes_count_for_all(two):
    for rank, found in enumerate(two["gradients"]):
        first, second, nobody, frozen, double = found["gradients"]
        assert first.tolist() == [1.5] * 3
        assert second.tolist() == [2.5] * 3
        assert nobody is None
        assert frozen is None
        assert double.tolist() == [[1.0, 1.0]] * 2
        assert double.dtype == torch.float64
        assert math.isnan(found["nan"])
        assert found["mean"] == 0.5
        assert found["means"] == {"a/x": 0.5, "a/y": 7.0, "b": rank}
        assert found["running_mean"].tolist() == [0.5, 0.5]
        assert found["first"] == {"measured": 3.0}
        assert found["largest"] == 15


def test_other_strategies_than_ddp_are_refused():
    trainer = SimpleNamespace(world_size=2, strategy=SimpleNamespace(model=nn.Linear(1, 1)))
    with pytest.raises(SettingError, match="strategy='ddp'"):
        devices_of(trainer)
    trainer.world_size = 1
    assert devices_of(trainer) == 1
