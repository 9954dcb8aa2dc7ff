"""``snas_nni.search``: the command's search on data that a program has, and a folder that every command takes."""

import json
import logging
import random
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snas_nni
from exports import read_architecture
from exports.network import read_network
from snas_nni import Budget, SettingError, SnasCellSpace
from trials.cli import main

TINY = {"channels": 2, "cells": 1, "nodes": 1}
SHORT = {"epochs": 2, "batch_size": 16, "quiet": True}


def images(count: int = 80, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose class is the brightest of their four quarters."""
    x = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    y = torch.arange(count) % 4
    for index, quarter in enumerate(y.tolist()):
        x[index, :, 4 * (quarter // 2) :, 4 * (quarter % 2) :][:, :4, :4] += 1
    return x, y


def searched(train: object, **more: object) -> snas_nni.SearchRun:
    return snas_nni.search(SnasCellSpace, train, space_arguments=TINY, **{**SHORT, **more})


@pytest.fixture(scope="module")
def found() -> snas_nni.SearchRun:
    return searched(images())


def weights(run: snas_nni.SearchRun) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "weights.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


class TestResult:
    def test_it_is_what_the_command_finds(self, found: snas_nni.SearchRun, tmp_path: Path) -> None:
        kept = found.save(tmp_path / "kept")
        settings = [f"--space.init_args.{name}={value}" for name, value in TINY.items()]
        words = ["--search.epochs=2", "--search.batch_size=16", "--devices=1", "--quiet", f"--output={tmp_path / 'by'}"]
        data = ["--data.source=tensors", f"--data.path={kept / 'data.safetensors'}"]
        space = "--space=search_spaces.SnasCellSpace"
        assert main(["search", space, *settings, *words, *data]) == 0
        assert_same(weights(found), load_file(tmp_path / "by" / "weights.safetensors"))
        theirs = json.loads((tmp_path / "by" / "summary.json").read_text())["metrics"]
        assert found.accuracy == theirs["test_accuracy"]
        assert found.metrics["entropy"] == theirs["entropy"]

    def test_the_child(self, found: snas_nni.SearchRun) -> None:
        x, _ = images()
        assert found.child(x).shape == (80, 4)
        assert not found.child.training
        assert found.sample == found.architecture.sample
        assert sum(each.numel() for each in found.child.parameters()) == found.architecture.parameters

    def test_another_child_within_a_budget(self, found: snas_nni.SearchRun, tmp_path: Path) -> None:
        other = found.derive({"params": 150}, quiet=True)
        assert other.architecture.parameters <= 150
        again = other.derive(Budget(params="60%"), quiet=True)  # of the same search, whose dearest child has 318
        assert again.architecture.parameters <= 190
        assert again.settings.resources.max_params == pytest.approx(190.8)  # type: ignore[attr-defined]
        kept = other.save(tmp_path / "other")
        assert main(["evaluate", str(kept), "--quiet"]) == 0
        folder = other.folder
        del other
        assert not folder.exists()

    def test_files(self, found: snas_nni.SearchRun, tmp_path: Path) -> None:
        page = found.report(tmp_path / "page.html")
        assert "<html" in page.read_text(encoding="utf-8")
        assert found.export_onnx(tmp_path / "new" / "child.onnx").stat().st_size > 1000

    def test_how_it_looks(self, found: snas_nni.SearchRun) -> None:
        assert f"parameters {found.architecture.parameters:,}" in repr(found)
        shown = found._repr_html_()
        assert shown.startswith("<table>")
        assert len(shown) < 2000

    def test_no_folder_is_written_over(self, found: snas_nni.SearchRun, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(SettingError, match="is not empty"):
            found.save(tmp_path)
        assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]

    def test_data_too_large_for_a_copy(
        self, found: snas_nni.SearchRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trials.in_python.given_data.LARGEST", 1000)
        with pytest.raises(SettingError, match=r"save\(folder, data='my_data.load'\)"):
            found.save(tmp_path / "run")
        assert list(tmp_path.iterdir()) == []
        found.save(tmp_path / "run", data="my_data.load")
        assert json.loads((tmp_path / "run" / "architecture.json").read_text())["settings"]["data"]["source"] == (
            "my_data.load"
        )


class TestData:
    def test_all_forms_are_the_same(self, found: snas_nni.SearchRun) -> None:
        x, y = images()
        forms = [
            (x.numpy(), y.numpy()),
            TensorDataset(x, y),
            DataLoader(list(zip(x, y, strict=True)), batch_size=16, shuffle=True),  # type: ignore[arg-type]
        ]
        for form in forms:
            assert_same(weights(searched(form)), weights(found))

    def test_splits_that_are_given(self) -> None:
        (x, y), more = images(), images(8)
        run = searched((x, y), validation=more, test=more)
        assert run.metrics["validation_accuracy"] == run.accuracy

    def test_words_for_classes_stay_words(self, tmp_path: Path) -> None:
        x, y = images()
        words = np.array(["north", "east", "south", "west"])[y.numpy()]
        run = searched((x, words))
        kept = run.save(tmp_path / "run")
        assert json.loads((kept / "summary.json").read_text())["class_names"] == ["east", "north", "south", "west"]
        assert main(["evaluate", str(kept), "--quiet"]) == 0  # which compares the names

    def test_a_source_by_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = searched("digits", epochs=1, batch_size=256, data={"validation_fraction": 0.4})
        assert run.summary["settings"]["data"]["source"] == "digits"
        assert len(run.summary["class_names"]) == 10

    @pytest.mark.parametrize(
        ("train", "words"),
        [
            (torch.zeros(4, 1, 8, 8), "train must be a pair of inputs and targets"),
            ((torch.zeros(4, 1, 8, 8),), "train must be a pair"),
            ({"train": 1}, "give one split each"),
            ((torch.zeros(4, 1, 8, 8), torch.zeros(3).long()), "4 inputs but 3 labels"),
        ],
    )
    def test_what_is_no_data(self, train: object, words: str) -> None:
        with pytest.raises(SettingError, match=words):
            searched(train)


class Table(ModelSpace):
    """Ten numbers in, one out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice({"wide": nn.Linear(10, 8), "cut": Cut()}, label="layer")
        self.head = nn.Linear(8, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(rows).relu())


class Cut(nn.Module):
    """The first eight of the numbers."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:, :8]


def test_another_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, Table.__module__, sys.modules[__name__])
    rows = torch.randn(80, 10, generator=torch.Generator().manual_seed(0))
    run = snas_nni.search(Table, (rows, rows.sum(1)), task="regression", **SHORT)
    assert run.summary["settings"]["training"]["task"] == "regression"
    assert run.child(rows).shape == (80, 1)
    assert "test" in repr(run)
    with pytest.raises(SettingError, match="no accuracy"):
        _ = run.accuracy


class TestSpace:
    def test_an_instance_gives_its_arguments_and_its_weights(self) -> None:
        torch.manual_seed(1)
        space = SnasCellSpace(**TINY, in_channels=1, classes=4)
        one = snas_nni.search(space, images(), **SHORT)
        torch.manual_seed(2)
        other = snas_nni.search(SnasCellSpace(**TINY, in_channels=1, classes=4), images(), **SHORT)
        assert one.architecture.space.arguments["channels"] == 2
        stems = [
            next(w for name, w in weights(each).items() if name.startswith("stem") and w.ndim == 4)
            for each in (one, other)
        ]
        assert not torch.equal(*stems)

    def test_what_is_no_space(self) -> None:
        class Local(SnasCellSpace):
            """Not found again."""

        for space, words in ((torch.nn.Linear, "not a class of model spaces"), (Local, "inside a function"), (3, "3")):
            with pytest.raises(SettingError, match=words):
                snas_nni.search(space, images())  # type: ignore[arg-type]


class TestManners:
    def test_a_program_goes_on_as_before(self) -> None:
        def state() -> tuple[object, ...]:
            levels = [logging.getLogger(name).level for name in ("nni", "pytorch_lightning")]
            return torch.initial_seed(), random.getstate(), levels, list(warnings.filters)

        before, drawn = state(), torch.get_rng_state()
        searched(images(40), epochs=1)
        assert state()[1:] == before[1:]
        assert torch.equal(drawn, torch.get_rng_state())

    def test_mistakes_in_settings_are_told_and_leave_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        for more, words in (
            ({"training": {"lerning_rate": 1}}, r"search\(...\): there is no setting training.lerning_rate"),
            ({"budget": {"weights": 3}}, "max_weights"),
            ({"epochs": 0}, "search.epochs"),
            ({"budget": {"params": 1}}, "params"),
        ):
            with pytest.raises(snas_nni.SnasError, match=words):
                searched(images(), **more)
        assert list(tmp_path.iterdir()) == []


SCRIPT = """
    import torch
    from nni.nas.nn.pytorch import LayerChoice, ModelSpace
    from torch import nn

    import snas_nni

    WIDTHS = {"hidden": 4}

    def pooled(images):
        return images.mean((2, 3))

    class Block(nn.Sequential):
        def __init__(self, kernel):
            super().__init__(nn.Conv2d(WIDTHS["hidden"], WIDTHS["hidden"], kernel, padding=kernel // 2), nn.ReLU())

    class MySpace(ModelSpace):
        def __init__(self, in_channels: int = 1, classes: int = 10):
            super().__init__()
            self.stem = nn.Conv2d(in_channels, WIDTHS["hidden"], 3, padding=1)
            self.middle = LayerChoice({"small": Block(3), "large": Block(5)}, label="middle")
            self.head = nn.Linear(WIDTHS["hidden"], classes)

        def forward(self, images):
            return self.head(pooled(self.middle(self.stem(images))))

    x = torch.rand(60, 1, 8, 8)
    found = snas_nni.search(MySpace, (x, torch.arange(60) % 3), epochs=1, batch_size=16, quiet=True, output="direct")
    found.save("run")
    for each in (found, found.derive({"params": "100%"}, quiet=True)):  # whose class is this program's, not the file's
        assert each.child(x).shape == (60, 3)
    try:
        snas_nni.search(MySpace, (x, torch.arange(60) % 3), epochs=1, batch_size=16, quiet=True, resume="direct")
    except snas_nni.SettingError as error:
        assert "is finished" in str(error), error
    else:
        raise AssertionError("it was searched again")
    print(found.sample["middle"])
"""


@pytest.mark.slow
class TestFolder:
    """The space is in a script of its own; commands get the folder that it saved, and are told of the file in it."""

    @pytest.fixture(scope="class")
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        place = tmp_path_factory.mktemp("place")
        (place / "script.py").write_text(textwrap.dedent(SCRIPT))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "script.py"], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() in ("small", "large")
        return place

    @pytest.mark.parametrize("folder", ["run", "direct"])
    def test_it_has_all_that_commands_need(self, place: Path, folder: str) -> None:
        record = json.loads((place / folder / "architecture.json").read_text())
        assert record["space"]["class_path"] == record["settings"]["space"]["class_path"] == "my_space.MySpace"
        assert read_architecture(place / folder / "model.onnx").space.class_path == "my_space.MySpace"
        assert "import snas_nni" not in (place / folder / "my_space.py").read_text()

    @pytest.mark.parametrize(
        "words",
        [
            "evaluate run --space run/my_space.py",
            "show run",
            "report run",
            "runs .",
            "export run --space run/my_space.py --output again.onnx",
            "quantize run --space run/my_space.py",
            "retrain run --space run/my_space.py --training.epochs 1 --output retrained --quiet",
            "derive run --space run/my_space.py --max-params 90% --output derived --quiet",
        ],
        ids=lambda words: words.split()[0],
    )
    def test_commands_take_it(self, place: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "path", list(sys.path))
        try:
            assert main(words.split()) == 0
        finally:
            sys.modules.pop("my_space", None)
        if words.startswith("retrain"):  # its report draws the network as the search's does
            before, after = (read_network(place / folder) for folder in ("run", "retrained"))
            assert after is not None
            assert after == before

    def test_without_the_users_word_nothing_is_imported(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(place)
        assert main(["evaluate", "run"]) == 2
        assert "my_space.MySpace" in capsys.readouterr().err
        assert main(["evaluate", "run", "--space", "no/such.py"]) == 2
        assert "there is no file 'no/such.py'" in capsys.readouterr().err
