"""The code on the page runs as it stands."""

import json

import numpy as np

from exports import build, export_onnx, load
from exports.report.run import read_run
from exports.report.usage import usage_of


def test_both_snippets_run_in_the_runs_folder_and_agree(saved, monkeypatch):
    folder = saved.parent
    child = build(load(saved), spaces="small_export_spaces")
    export_onnx(child, folder / "model.onnx", (3, 8, 8))
    (folder / "summary.json").write_text(json.dumps({"input_shape": [3, 8, 8]}))
    usage = usage_of(read_run(folder))
    assert len(usage.pytorch.splitlines()) == len(usage.onnx.splitlines()) == 5
    monkeypatch.chdir(folder)
    torch_names, onnx_names = {}, {}
    exec(usage.pytorch, torch_names)
    exec(usage.onnx, onnx_names)
    np.testing.assert_allclose(torch_names["logits"].numpy(), onnx_names["logits"], rtol=1e-4, atol=1e-5)


def test_code_is_given_for_the_files_that_are_there(saved):
    usage = usage_of(read_run(saved.parent))
    assert usage.onnx == ""
    assert "torch.zeros(1, ...)" in usage.pytorch
    saved.unlink()
    assert usage_of(read_run(saved.parent)) is None
