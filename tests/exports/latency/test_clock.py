"""The clock: what passes make of the times of a file, orders, going on, programs as timers, ONNX Runtime itself."""

import shlex
import sys

import pytest
import torch
from torch import nn

from exports.latency.clock import DEFAULTS, TimerError, command_timer, measure, onnxruntime_timer, quantile, timing_of
from exports.latency.graphs import graph_bytes, write_graph


def test_a_file_counts_with_the_faster_half_of_its_passes():
    passes = [[2.0] * 5, [9.0] * 5, [2.2] * 5, [8.0, 8.0, 8.0]]
    timing = timing_of(passes)
    assert timing["milliseconds"] == pytest.approx(2.1)
    assert timing["spread"] == pytest.approx(0.2 / 2.1)
    assert timing["disturbed"] == 2
    assert (timing["p50"], timing["p90"]) == (2.2, 9.0)
    assert timing_of([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])["milliseconds"] == pytest.approx(2.0)
    assert quantile([4.0], 0.3) == 4.0


def test_every_pass_has_an_order_of_its_own_and_a_cut_one_goes_on():
    calls, kept = [], {}

    def timer(path):
        calls.append(path)
        return [float(len(calls))]

    files = [f"{number}.onnx" for number in range(8)]
    whole = measure(files, timer, passes=3, after_pass=lambda number, runs: kept.update({number: dict(runs)}))
    orders = [calls[8 * number : 8 * number + 8] for number in range(3)]
    assert all(sorted(order) == files for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert all(len(each) == 3 for each in whole.values())
    known = {path: passes[:2] for path, passes in whole.items()}
    before = len(calls)
    again = measure(files, timer, passes=3, known=known)
    assert calls[before:] == orders[2]
    assert [again[file][:2] for file in files] == [whole[file][:2] for file in files]


def timer_that_runs(code):
    return command_timer(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}")


def test_a_program_gets_the_file_and_its_numbers_are_milliseconds():
    assert timer_that_runs("import sys; print(len(sys.argv[1]), 'ms', 1.5e-1)")("12345.onnx") == [10.0, 0.15]
    echo = command_timer(f"{shlex.quote(sys.executable)} -c 'import sys; print(sys.argv[2] == \"{{}}\", 3)' {{}} {{}}x")
    assert echo("a") == [3.0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('done')", "printed no milliseconds"),
        ("print(0)", "printed no"),
        ("import sys; sys.exit('out of oil')", "out of oil"),
    ],
)
def test_a_program_that_fails_is_named(code, words):
    with pytest.raises(TimerError, match=words):
        timer_that_runs(code)("a.onnx")


class Shapes(nn.Module):
    """Asks its input for its shape."""

    def forward(self, x):
        return x.new_ones((x.shape[0], 2)) + x.mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("model", [nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)), Shapes()])
def test_graphs_run_with_any_batch_in_onnxruntime(model, tmp_path):
    import onnxruntime

    file = write_graph(model, tmp_path / "a.onnx", torch.zeros(2, 3, 8, 8))
    for batch in (1, 5):
        times = onnxruntime_timer({**DEFAULTS, "batch": batch})(str(file))
        assert len(times) >= 3
        assert min(times) > 0
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, 8, 8)
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert torch.allclose(torch.from_numpy(found), model(images), atol=1e-5)


def test_the_quick_graph_has_the_kernels_of_the_exact_one(tmp_path):
    """After ONNX Runtime's own optimization: the same operators as often."""
    import onnx
    import onnxruntime

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(16, 4, 1)
    )
    kernels = []
    for exact in (False, True):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 4
        content = graph_bytes(model, torch.zeros(2, 3, 8, 8), exact=exact)
        assert onnx.load_from_string(content).opset_import[0].version == 18
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        kernels.append(sorted(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node))
    assert kernels[0] == kernels[1]


def test_what_cannot_run_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(TimerError, match=r"a.onnx: ONNX Runtime cannot run it"):
        onnxruntime_timer(DEFAULTS)(str(tmp_path / "a.onnx"))
