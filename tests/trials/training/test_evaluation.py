"""Evaluation: intervals, top-5, the verbs, and 8-bit files."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from snas_nni.errors import SnasError
from trials.cli import main
from trials.data.sources import load_data
from trials.progress import Progress
from trials.runs.quantization import quantize
from trials.runs.retrain import run_retrain
from trials.settings.search import DataSettings
from trials.training.evaluation import Proportion, evaluate, onnx_predictor
from trials.verbs.retrain import read_retrain_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluated") / "output"
    arguments = [
        "--space.init_args.channels=4",
        "--space.init_args.cells=2",
        "--training.epochs=2",
        "--accelerator=cpu",
    ]
    run_retrain(read_retrain_settings(["mild", *arguments, "--quiet", f"--output={output}"]))
    return output


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_wilson_s_interval(right: int, count: int, low: float, high: float) -> None:
    """The first three are Newcombe's (1998, table I)."""
    assert Proportion(right, count).interval() == pytest.approx((low, high), abs=5e-5)


def test_top_five_only_with_more_than_five_classes() -> None:
    labels = torch.tensor([0, 5])
    logits = torch.tensor([[6.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 3, 2, 1]])
    found = evaluate(lambda inputs: logits, [(logits, labels)])
    assert (found.top1, found.top5) == (Proportion(1, 2), Proportion(1, 2))
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert found.loss == pytest.approx(float(expected))
    few = evaluate(lambda inputs: logits[:, :5], [(logits, torch.tensor([0, 1]))])
    assert few.top5 is None
    assert set(few.as_document()) == {"loss", "top1"}


def test_verb_measures_what_the_training_measured(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(result), "--output", str(tmp_path / "numbers.json")]) == 0
    text = capsys.readouterr().out
    assert "95 % interval" in text
    assert "top-5" in text
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    expected = json.loads((result / "summary.json").read_text())["test"]
    assert numbers["PyTorch"]["top1"] == expected["top1"] == numbers["ONNX Runtime"]["top1"]
    assert numbers["PyTorch"]["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert main(["evaluate", str(result / "last" / "architecture.json")]) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["mild"], "weights"),
        (["nowhere"], "nowhere"),
        ([], "architecture is missing"),
        (["RESULT", "--accelerator=warp"], "accelerator"),
        (["RESULT", "--data.sourc=digits"], "data.sourc"),
    ],
)
def test_mistakes_are_named(arguments: list[str], named: str, result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *(word.replace("RESULT", str(result)) for word in arguments)]) == 2
    assert named in capsys.readouterr().err


def test_data_source_of_a_file_is_not_imported(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(result, tmp_path / "copy")
    file = tmp_path / "copy" / "architecture.json"
    file.write_text(file.read_text().replace('"source": "digits"', '"source": "antigravity.fly"'))
    assert main(["evaluate", str(tmp_path / "copy")]) == 2
    assert "--data.source" in capsys.readouterr().err


def test_other_classes_are_refused(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(result, tmp_path / "copy")
    summary = tmp_path / "copy" / "summary.json"
    document = json.loads(summary.read_text())
    document["class_names"] = ["cat", "dog"]
    summary.write_text(json.dumps(document))
    assert main(["evaluate", str(tmp_path / "copy")]) == 2
    assert "2 classes (cat, dog" in capsys.readouterr().err


def test_eight_bits(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (result / "model.onnx").read_bytes()
    assert main(["quantize", str(result), "--images=64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model.onnx", "model.int8.onnx", "8"]
    assert (result / "model.onnx").read_bytes() == before
    images = torch.zeros(3, 1, 8, 8)
    assert onnx_predictor(result / "model.int8.onnx")(images).shape == (3, 10)
    (result / "model.int8.onnx").unlink()


def test_a_file_that_cannot_be_quantised_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not an ONNX file")
    data = load_data(DataSettings(), Progress(quiet=True))
    with pytest.raises(SnasError, match=r"model\.onnx"):
        quantize(tmp_path / "model.onnx", tmp_path / "model.int8.onnx", data, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
