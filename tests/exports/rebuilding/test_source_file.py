"""A space that was written where nothing can import it becomes a file that gives the same class."""

import linecache
import sys
import types

import pytest
import torch

from exports import Architecture, ArchitectureFileError, build, load, save, save_source, save_weights
from snas_nni.derivation.child import build_child

CELL = """
import torch
import torch.nn.functional as F
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

WIDTHS = {"narrow": 2, "wide": 4}
UNUSED = torch.zeros(3)


def convolution(channels, kernel):
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2)


class Head(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        return self.linear(F.relu(x).mean((2, 3)))


class CellSpace(ModelSpace):
    def __init__(self, width: str = "wide", classes: int = 3):
        super().__init__()
        channels = WIDTHS[width]
        self.stem = nn.Conv2d(1, channels, 1)
        self.middle = LayerChoice({"a": convolution(channels, 3), "b": convolution(channels, 5)}, label="middle")
        self.head = Head(channels, classes)

    def forward(self, images):
        return self.head(self.middle(self.stem(images)))
"""


@pytest.fixture
def notebook(monkeypatch):
    """A notebook after a cell was run, as a kernel runs it: no file, lines that linecache knows."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)

    def run(cell, name="<cell-1>"):
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"), vars(module))
        return module

    return run


def test_the_network_is_rebuilt_where_the_notebook_is_gone(notebook, tmp_path, monkeypatch):
    cell_space = notebook(CELL).CellSpace
    space, sample = cell_space("narrow"), {"middle": "b"}
    child = build_child(cell_space, {"width": "narrow"}, sample).eval()
    digest = save_weights(child, tmp_path / "weights.safetensors")
    record = Architecture.create(space=space, sample=sample, child=child)
    save(record.with_weights("weights.safetensors", digest), tmp_path / "architecture.json")
    assert record.space.class_path == "__main__.CellSpace"

    assert save_source(cell_space, tmp_path / "kept_space.py") == tmp_path / "kept_space.py"
    text = (tmp_path / "kept_space.py").read_text()
    assert "UNUSED" not in text
    assert text.index("def convolution") < text.index("class CellSpace")
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    images = torch.randn(2, 1, 8, 8)
    loaded = load(tmp_path / "architecture.json")
    with pytest.raises(ArchitectureFileError, match="written in a notebook or a script") as refused:
        build(loaded)
    assert "save_source(CellSpace, 'my_space.py')" in str(refused.value)
    assert "kept_space" not in sys.modules
    again = build(loaded, spaces="kept_space.CellSpace").eval()
    assert torch.equal(again(images), child(images))
    assert torch.equal(build(loaded, spaces=sys.modules["kept_space"].CellSpace).eval()(images), child(images))
    monkeypatch.delitem(sys.modules, "kept_space")


def test_names_from_other_cells_and_the_newest_definition(notebook, tmp_path):
    notebook("def helper():\n    return 1\n", "<cell-1>")
    notebook("class Small:\n    def value(self):\n        return 0\n", "<cell-2>")
    module = notebook("class Small:\n    def value(self):\n        return helper() + 1\n", "<cell-3>")
    save_source(module.Small, tmp_path / "small.py")
    names = {}
    exec((tmp_path / "small.py").read_text(), names)
    assert names["Small"]().value() == 2


def test_what_only_annotations_name_need_not_be_there(notebook, tmp_path):
    module = notebook(
        "from __future__ import annotations\nclass Small:\n    def value(self, x: Gone) -> Gone:\n        return x\n"
    )
    save_source(module.Small, tmp_path / "small.py")
    names = {}
    exec((tmp_path / "small.py").read_text(), names)
    assert names["Small"]().value(3) == 3


def test_a_class_that_was_defined_again_is_refused(notebook, tmp_path):
    text = "class Small:\n    def value(self):\n        return 0\n"
    former = notebook(text, "<cell-1>").Small
    notebook(text, "<cell-2>")
    with pytest.raises(ArchitectureFileError, match="Small is another thing in its notebook"):
        save_source(former, tmp_path / "small.py")


def test_what_cannot_be_written_is_named(notebook, tmp_path):
    module = notebook("table = object()\nclass Space:\n    def f(self):\n        return table\n")
    with pytest.raises(ArchitectureFileError, match="uses table, a object"):
        save_source(module.Space, tmp_path / "space.py")
    module = notebook("class Later:\n    def f(self):\n        return missing_name\n", "<cell-2>")
    with pytest.raises(ArchitectureFileError, match="uses missing_name, which is not defined"):
        save_source(module.Later, tmp_path / "space.py")
    module = notebook("class Bare:\n    value = 1\n", "<cell-3>")
    with pytest.raises(ArchitectureFileError, match="its source is not known"):
        save_source(module.Bare, tmp_path / "space.py")
    assert not list(tmp_path.iterdir())


def test_files_are_never_changed_and_must_be_importable(notebook, tmp_path):
    space = notebook(CELL).CellSpace
    (tmp_path / "mine.py").write_text("x = 1\n")
    with pytest.raises(ArchitectureFileError, match="exists already"):
        save_source(space, tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == "x = 1\n"
    for name in ("my-space.py", "space.txt"):
        with pytest.raises(ArchitectureFileError, match=r"such as my_space\.py"):
            save_source(space, tmp_path / name)
