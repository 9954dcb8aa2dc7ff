"""The code on the page runs as it stands."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from report_runs import architecture, write_run

from exports import InputExample, SpaceReference, build, export_onnx, load
from exports.onnx_files.description import described_by_summary
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
    assert usage.onnx == usage.command == ""
    assert "torch.zeros(1, ...)" in usage.pytorch
    saved.unlink()
    assert usage_of(read_run(saved.parent)) is None


@pytest.mark.parametrize("crop", [None, 8])
def test_the_code_for_images_goes_from_a_file_to_a_class(saved, monkeypatch, capsys, crop):
    folder, side = saved.parent, 12 if crop else 8
    child = build(load(saved), spaces="small_export_spaces").eval()
    mean, deviation = [0.5, 0.4, 0.3], [0.25, 0.2, 0.1]
    summary = {
        "input": {"shape": [3, 8, 8], "dtype": "float32"},
        "class_names": ["ant", "bee", "cat", "dog", "eel"],
        "preparation": {"size": [side, side], "scale": 1 / 255, "mean": mean, "deviation": deviation, "crop": crop},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    described = described_by_summary(summary, InputExample((3, 8, 8)))
    export_onnx(child, folder / "model.onnx", (3, 8, 8), batch_sizes=(1,), description=described)
    image = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8).numpy()
    Image.fromarray(image).save(folder / "image.png")
    usage = usage_of(read_run(folder))
    monkeypatch.chdir(folder)
    names = {}
    exec(usage.onnx, names)
    middle = image[2:10, 2:10] if crop else image
    inputs = (torch.tensor(middle) / 255 - torch.tensor(mean)) / torch.tensor(deviation)
    expected = child(inputs.permute(2, 0, 1)[None]).detach().numpy()
    np.testing.assert_allclose(names["logits"], expected, rtol=1e-4, atol=1e-4)
    said = capsys.readouterr().out.strip()
    assert said == summary["class_names"][int(expected.argmax())]
    assert usage.command == f"snas-nni predict {folder} image.png"


def test_commands_go_on_from_the_files_that_are_there(saved):
    folder = saved.parent
    commands = [command for _, command in usage_of(read_run(folder)).more]
    space = load(saved).space.class_path
    assert commands == [
        f"snas-nni evaluate {folder} --space {space}",
        f"snas-nni retrain {saved} --space {space}",
    ]
    (folder / "checkpoints").mkdir()
    (folder / "model.onnx").write_bytes(b"")
    commands = [command for _, command in usage_of(read_run(folder)).more]
    half = load(saved).parameters // 2
    assert f"snas-nni quantize {folder} --space {space}" in commands
    assert commands[-2:] == [
        f"snas-nni derive {folder} --max-params {half}",
        f"snas-nni derive {folder} --sweep params:8",
    ]


def test_a_networks_own_function_is_named_where_the_space_was_made_from_it(tmp_path):
    """It is the user's code, which is imported only where the user names it too; the space is this project's."""
    reference = SpaceReference(
        class_path="search_spaces.from_model.space.FromModel", arguments={"model": "my_network.make"}
    )
    usage = usage_of(read_run(write_run(tmp_path / "run", architecture(space=reference))))
    assert "build(load(\"architecture.json\"), spaces='my_network.make'" in usage.pytorch
    assert all(
        command.endswith(" --space my_network.make")
        for _, command in usage.more
        if command.startswith(("snas-nni evaluate", "snas-nni quantize", "snas-nni retrain"))
    )
