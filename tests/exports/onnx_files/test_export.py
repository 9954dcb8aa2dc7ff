import contextlib
import dataclasses
import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_export_spaces import EdgeSpace
from torch import nn

from exports import ArchitectureFileError, OnnxExportError, build, export_onnx, read_architecture
from exports.onnx_files.export import METADATA_KEY
from snas_nni.errors import SettingError


@pytest.fixture(scope="module")
def exported(edge_child, tmp_path_factory):
    """The aggressive child, exported while in training mode, where it returns a pair."""
    from exports import Architecture

    space, sample, child = edge_child
    architecture = Architecture.create(space=space, sample=sample, child=child, seed=1)
    folder = tmp_path_factory.mktemp("onnx")
    child.train()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            report = export_onnx(child, folder / "child.onnx", (3, 8, 8), architecture)
        modes = [module.training for module in child.modules()]
    finally:
        child.eval()
    return report, architecture, modes, printed.getvalue()


def test_report_and_file(exported):
    report, _, modes, printed = exported
    assert report.max_difference <= 1e-4
    assert (report.input_name, report.output_name) == ("input", "logits")
    assert report.size == report.path.stat().st_size
    assert report.opset == 18
    assert [each.name for each in report.path.parent.iterdir()] == ["child.onnx"]
    assert all(modes)
    assert printed == ""


def test_runtime_gives_the_logits_at_any_batch_size(exported, edge_child):
    session = onnxruntime.InferenceSession(exported[0].path, providers=["CPUExecutionProvider"])
    for batch_size in (1, 5):
        x = torch.randn(batch_size, 3, 8, 8)
        (logits,) = session.run(["logits"], {"input": x.numpy()})
        np.testing.assert_allclose(logits, edge_child[2](x).detach().numpy(), atol=1e-5)


def test_record_comes_back_out(exported, edge_child):
    report, architecture, *_ = exported
    again = read_architecture(report.path)
    assert again == architecture
    assert build(again, spaces=[EdgeSpace], weights=False).head.weight.shape == edge_child[2].head.weight.shape


def test_no_path_of_this_machine_is_in_the_file(exported):
    content = exported[0].path.read_bytes()
    assert b"site-packages" not in content
    assert __file__.encode() not in content
    assert b"small_export_spaces.py" not in content


def test_tokens_come_from_the_example(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 4), nn.Flatten(), nn.Linear(12, 3))
    example = torch.randint(0, 11, (2, 3))
    report = export_onnx(model, tmp_path / "tokens.onnx", example, batch_sizes=(2, 4))
    assert report.max_difference <= 1e-4
    with pytest.raises(ArchitectureFileError, match=f"{METADATA_KEY}: is not in the file's metadata"):
        read_architecture(report.path)


class Counting(nn.Linear):
    """Its output depends on how often it was called, which a trace freezes."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class KnowsBatch(nn.Linear):
    def forward(self, x):
        return super().forward(x.reshape(2, -1)[:, : self.in_features])


class BranchesOnBatch(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (2 if x.shape[0] > 2 else 1)


class BranchesOnData(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x[:, :3]


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Unlucky(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 0.0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Counting(4, 3), "differs from PyTorch by [0-9.e+-]+ of the largest output"),
        (KnowsBatch(4, 3), r"fails on an input of shape \(1, 4\)"),
        (BranchesOnBatch(4, 3), "at batch size 3 ONNX Runtime differs"),
        (BranchesOnData(4, 3), "torch cannot export the model"),
        (Pair(4, 3), "returns a tuple"),
        (Unlucky(4, 3), "not finite"),
        (nn.Linear(5, 3), "fails on an input of shape"),
    ],
)
def test_a_model_that_cannot_be_proven_leaves_no_file(tmp_path, model, words):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an older file")
    with pytest.raises(OnnxExportError, match=words):
        export_onnx(model, path, (4,))
    assert path.read_bytes() == b"an older file"
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_that_cannot_be_copied_is_explained(tmp_path):
    model = nn.Linear(2, 2)
    model.gate = model(torch.ones(1, 2))
    with pytest.raises(OnnxExportError, match="cannot be copied"):
        export_onnx(model, tmp_path / "m.onnx", (2,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_sizes": ()},
        {"batch_sizes": (0,)},
        {"tolerance": 0.0},
        {"tolerance": float("nan")},
        {"input_shape": (0, 2)},
        {"input_shape": torch.zeros(0, 2)},
    ],
)
def test_settings_out_of_range(tmp_path, wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        export_onnx(nn.Linear(2, 2), tmp_path / "m.onnx", **{"input_shape": (2,), **wrong})


def test_unreadable_onnx_files(exported, tmp_path):
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"\xff" * 50)
    with pytest.raises(ArchitectureFileError, match="not a readable ONNX file"):
        read_architecture(garbage)
    proto = onnx.load(exported[0].path)
    onnx.helper.set_model_props(proto, {METADATA_KEY: '{"format": "other"}'})
    other = tmp_path / "other.onnx"
    onnx.save(proto, other)
    with pytest.raises(ArchitectureFileError, match=r"other\.onnx: format"):
        read_architecture(other)


def test_report_is_frozen(exported):
    with pytest.raises(dataclasses.FrozenInstanceError):
        exported[0].opset = 1
