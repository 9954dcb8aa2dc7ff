"""A model card says what a run reached, and its header is one that the hub accepts."""

import builtins

import pytest
from huggingface_hub import ModelCard
from report_runs import EVIDENCE, write_run

from exports import ArchitectureFileError
from exports.model_card import model_card
from exports.report.numbers import percent
from exports.report.run import read_run
from trials.cli import main


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def test_the_header_is_read_back_by_the_hub(run):
    card = ModelCard(model_card(run, "digits-net"))
    accuracy = read_run(run).metrics["test_accuracy"]
    assert card.data.library_name == "onnx"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", accuracy, "test")


def test_it_tells_what_the_run_reached_and_chose(run):
    text, known = model_card(run), read_run(run)
    assert percent(known.metrics["test_accuracy"]) in text
    assert known.architecture.space.class_path in text
    for label in known.architecture.sample:
        assert f"`{label}`" in text
    assert "\n\n\n" not in text
    table = text[text.index("| choice |") :].split("\n\n")[0]
    assert len(table.splitlines()) == 2 + len(known.architecture.sample)


def test_it_tells_the_classes_and_how_sure_the_accuracy_is(tmp_path):
    folder = write_run(tmp_path / "run", evidence=EVIDENCE, class_names=["cat", "dog | wolf"])
    text = model_card(folder)
    assert "| classes, 2 | cat, dog _ wolf |" in text
    assert "81.2 % (95 % interval 50.0 to 75.0 %)" in text
    other = write_run(tmp_path / "other", evidence={**EVIDENCE, "splits": {}})
    assert "interval" not in model_card(other).split("## Use")[0]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArchitectureFileError, match="no finished search"):
        model_card(tmp_path)


def test_a_missing_package_names_the_extra(run, monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["card", str(run)]) == 2
    assert "pip install 'snas-nni[card]'" in capsys.readouterr().err


def test_the_verb_writes_once(run, capsys):
    assert main(["card", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "README.md")
    before = (run / "README.md").read_bytes()
    assert main(["card", str(run), "--name", "other"]) == 2
    assert (run / "README.md").read_bytes() == before
    assert main(["card", str(run), "--output", "-"]) == 0
    assert "# run" in capsys.readouterr().out
