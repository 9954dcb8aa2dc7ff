"""docs/tasks.md from empty folders: what is written there is done, and gives an ONNX file of a useful network."""

import json
import re
import runpy
import shlex
from pathlib import Path

import onnxruntime
import pytest

from exports.metric import DecidingMetric
from exports.report.run import read_run

PAGE = (Path(__file__).parents[3] / "docs/tasks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
OWN = """
import torch
from pytorch_lightning import LightningModule


class Quantile(LightningModule):
    def __init__(self, share: float = 0.9):
        super().__init__()
        self.share = share

    def _loss(self, batch):
        inputs, targets = batch
        short = targets.reshape(-1, 1) - self.model(inputs)
        return torch.maximum(self.share * short, (self.share - 1) * short).mean()

    def training_step(self, batch, batch_idx):
        return self._loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_pinball", self._loss(batch))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_files(section: str) -> None:
    for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", SECTIONS[section], re.DOTALL | re.MULTILINE):
        Path(name).write_text(code)


@pytest.mark.parametrize(
    ("section", "output", "metric", "least"),
    [
        ("Images in folders", "runs/shapes", "accuracy", 0.9),
        ("Tokens", "runs/tokens", "token_accuracy", 0.75),
        ("A table", "runs/table", "mean_absolute_error", 0.72),  # the mean of all gives 0.86
        ("Segmentation", "runs/masks", "mean_iou", 0.7),
    ],
)
def test_transcript(verb, section: str, output: str, metric: str, least: float) -> None:
    write_files(section)
    if Path("draw.py").is_file():
        runpy.run_path("draw.py")
    for command in re.findall(r"^    snas-nni (.+)$", SECTIONS[section], re.MULTILINE):
        process = verb(*shlex.split(command))
        assert process.wait() == 0, process.errors
    summary = json.loads(Path(output, "summary.json").read_text())
    deciding = DecidingMetric.from_document(summary["metric"])
    reached = summary["metrics"][deciding.test]
    assert deciding.name == metric
    assert not deciding.is_better(least, than=reached)
    assert summary["onnx"]["max_difference"] < 1e-4
    assert onnxruntime.InferenceSession(Path(output, "model.onnx")).get_outputs()[0].shape[0] == "batch"
    run = read_run(Path(output))
    assert run.metric == deciding
    assert run.log.last(deciding.logged) == pytest.approx(summary["metrics"][deciding.validation], rel=1e-4)
    if section == "A table":
        again = json.loads(Path("runs/again/summary.json").read_text())
        assert again["settings"]["recipe"] == "plain"
        assert again["settings"]["training"]["optimizer"] == "AdamW"
        assert again["metric"] == summary["metric"]


def test_a_module_of_the_users_own(verb) -> None:
    write_files("A table")
    with Path("my_table.py").open("a") as file:
        file.write(OWN)
    words = ("--space", "my_table.TableSpace", "--data.source", "my_table.load", "--search.batch_size", "64")
    own = (
        "--evaluator.class_path",
        "my_table.Quantile",
        "--evaluator.metric",
        "val_pinball",
        "--evaluator.mode",
        "min",
    )
    process = verb("search", *words, *own, "--search.epochs", "5", "--output", "run")
    assert process.wait() == 0, process.errors
    assert "pinball (lower is better) decides" in process.output
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["metric"] == {
        "name": "pinball", "higher_is_better": False, "percent": False, "logged": "val_pinball"
    }  # fmt: skip
    assert 0 < summary["metrics"]["test_pinball"] < 1
    process = verb("evaluate", "run")
    assert process.wait() == 2
    assert "data.source" in process.errors or "--space" in process.errors  # nothing is imported unasked
    process = verb("evaluate", "run", "--space", "my_table.TableSpace")
    assert process.wait() == 0, process.errors
    assert "pinball" in process.output
