"""Tables from whole exported children, timed by a program that counts: every entry is found again."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from snas_nni import SNAS, InputExample, SettingError
from snas_nni.resources import LatencyTable, cost_range
from tests.trials.latency.timed_spaces import TIMER, TimedSpace
from trials.latency.kit import SCRIPT, read_kit, write_kit
from trials.latency.tables import measure_table
from trials.progress import Progress
from trials.settings.costs.latency import LatencySettings

EXAMPLE = InputExample((3, 8, 8))
QUIET = Progress(quiet=True)
FEW = LatencySettings(children=22, held_out=3, passes=1)


@pytest.fixture
def timer(tmp_path):
    path = tmp_path / "timer.py"
    path.write_text(TIMER)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


def expected(sample):
    """What the program says of a child."""
    time = 3.0 + 5.0 + (5.0 if sample["first"] == "conv" else 0.0)
    for index in range(sample["depth"]):
        time += 4.0 if sample[f"block{index}"] == "conv" else 0.25
    return time + 2.0 + 0.5 * sample["width"]


def agrees(table):
    strategy = SNAS(seed=0, latency_table=table)
    strategy.mutate_model(TimedSpace())
    model = strategy.cost_model(EXAMPLE.batch())
    for seed in range(20):
        strategy.distribution.generator.manual_seed(seed)
        sample = strategy.distribution.draw(1.0).values()
        assert model.of(sample)["latency_ms"] == pytest.approx(expected(sample), rel=1e-4)
    assert cost_range(model, "latency_ms") == pytest.approx((12.25, 31.0), rel=1e-4)


@pytest.mark.slow
def test_a_program_times_files_and_the_table_has_what_each_part_takes(timer, tmp_path):
    table, choices = measure_table(TimedSpace, EXAMPLE, FEW, QUIET, tmp_path / "work", timer)
    agrees(table)
    assert table.calibration["children"] == 3
    assert table.calibration["p90_error"] < 1e-4
    assert table.measurement["runtime"] == timer
    assert not (tmp_path / "work").exists()
    table.save(tmp_path / "table.json", choices)
    loaded = LatencyTable.load(tmp_path / "table.json", choices)
    assert loaded.calibration == table.calibration
    agrees(loaded)


@pytest.mark.slow
def test_a_kit_is_timed_by_another_process_and_read_back(timer, tmp_path):
    folder = tmp_path / "kit"
    write_kit(TimedSpace, EXAMPLE, FEW, folder, QUIET)
    assert len((folder / "README.md").read_text().splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, SCRIPT, "--timer", timer, "--passes", "1", "--output", str(tmp_path / "there.json")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "written to" in done.stdout
    table, _ = read_kit(tmp_path / "there.json", TimedSpace)
    agrees(table)
    # The same kit in ONNX Runtime with other threads: every file is timed, and the table says how.
    words = ["--threads", "2", "--batch", "3", "--passes", "1", "--output", str(tmp_path / "two.json")]
    subprocess.run([sys.executable, SCRIPT, *words], cwd=folder, capture_output=True, check=True)
    table, _ = read_kit(tmp_path / "two.json", TimedSpace)
    assert (table.measurement["runtime"], table.measurement["threads"], table.measurement["batch"]) == (
        "onnxruntime",
        2,
        3,
    )
    document = json.loads((tmp_path / "there.json").read_text())
    for change, words in (
        (lambda d: d.update(format="other"), "is not what the script of a latency kit writes"),
        (lambda d: d["files"].pop("0001.onnx"), r"files.0001.onnx: is missing"),
        (lambda d: d["files"]["0001.onnx"].update(milliseconds=-1), r"files\[0001.onnx\].milliseconds"),
        (lambda d: d["kit"]["fitted"][0].update(first=[7]), r"kit.fitted\[0\].first: the space has no candidate"),
        (lambda d: d["kit"]["fitted"][0].pop("first"), "of another space"),
        (lambda d: d["kit"].pop("space"), "kit.space: is missing"),
    ):
        broken = json.loads(json.dumps(document))
        change(broken)
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        with pytest.raises(SettingError, match=words):
            read_kit(tmp_path / "broken.json", TimedSpace)


def write_program(child, inputs, path):
    """A format of one's own: the program that PyTorch exports, as text."""
    assert not child.training
    Path(path).write_text(str(torch.export.export(child, (inputs,)).graph))


def range_of(table):
    strategy = SNAS(seed=0, latency_table=table)
    strategy.mutate_model(TimedSpace())
    return cost_range(strategy.cost_model(EXAMPLE.batch()), "latency_ms")


OWN_TIMER = """
import re
import sys
text = open(sys.argv[1]).read()
print(3 + 2 * len(re.findall(r"aten[.]conv2d", text)) + 0.25 * len(re.findall(r"aten[.]relu", text)))
"""


@pytest.mark.slow
def test_children_in_a_format_of_ones_own_are_timed_by_what_runs_it(tmp_path):
    (tmp_path / "timer.py").write_text(OWN_TIMER)
    timer = f"{shlex.quote(sys.executable)} {shlex.quote(str(tmp_path / 'timer.py'))}"
    table, _ = measure_table(TimedSpace, EXAMPLE, FEW, QUIET, tmp_path / "work", timer, write_program)
    # Stem and the wide convolution always; one block at least, a ReLU; the first choice and three blocks at most.
    assert range_of(table) == pytest.approx((3 + 4 + 0.25, 3 + 4 + 8), rel=1e-4)

    folder = tmp_path / "kit"
    write_kit(TimedSpace, EXAMPLE, FEW, folder, QUIET, write_program)
    run = partial(subprocess.run, cwd=folder, capture_output=True, text=True, check=False)
    refused = run([sys.executable, SCRIPT])
    assert refused.returncode == 2
    assert "no ONNX files; say with --timer" in refused.stderr
    done = run([sys.executable, SCRIPT, "--timer", timer, "--passes", "1", "--output", str(tmp_path / "there.json")])
    assert done.returncode == 0, done.stderr
    read, _ = read_kit(tmp_path / "there.json", TimedSpace)
    assert range_of(read) == pytest.approx(range_of(table), rel=1e-6)


def test_a_writer_that_fails_leaves_no_half_a_file(tmp_path):
    few = LatencySettings(children=3, held_out=0, passes=1)

    def half(child, inputs, path):
        Path(path).write_text("half")
        raise RuntimeError("the disk is full")

    for writer, words in ((half, "at child 0000: RuntimeError: the disk is full"), (lambda *_: None, "wrote no file")):
        with pytest.raises(SettingError, match=words):
            measure_table(TimedSpace, EXAMPLE, few, QUIET, tmp_path / "work", "true", writer)
        assert list((tmp_path / "work" / "graphs").iterdir()) == []
    with pytest.raises(SettingError, match="say with --timer"):
        measure_table(TimedSpace, EXAMPLE, few, QUIET, tmp_path / "work", None, half)
    with pytest.raises(SettingError, match="int8: is for ONNX files"):
        measure_table(TimedSpace, EXAMPLE, replace(few, int8=True), QUIET, tmp_path / "work", "true", half)


def test_what_cannot_be_timed_is_said(tmp_path):
    few = LatencySettings(children=3, held_out=0, passes=1)
    with pytest.raises(SettingError, match="failed: no such luck"):
        failing = f"{shlex.quote(sys.executable)} -c 'import sys; sys.exit(\"no such luck\")'"
        measure_table(TimedSpace, EXAMPLE, few, QUIET, tmp_path / "work", failing)
    files = sorted((tmp_path / "work" / "graphs").iterdir())
    assert len(files) == 3  # what is exported stays for the next attempt
    wrong = LatencySettings(children=3, held_out=0, passes=1, provider="NoSuchProvider")
    with pytest.raises(SettingError, match="has no NoSuchProvider here; it has"):
        measure_table(TimedSpace, EXAMPLE, wrong, QUIET, tmp_path / "work")
