"""CONTRIBUTING.md is followed to the letter: a cost, a data source and a verb of its own are added and used."""

import importlib
import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from exports import published, save
from snas_nni import SNAS, derive_child
from snas_nni.resources import count_child
from trials.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```python title=\"([^\"]+)\"\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
REGISTRIES = {
    "snas_nni/resources/cost_info.py": "COSTS",
    "trials/settings/sources.py": "SOURCES",
    "trials/cli.py": "VERBS",
}


def module_of(path):
    return path.removesuffix(".py").replace("/", ".")


def registry_in(module, name):
    return getattr(module, name, getattr(module, f"_{name}", None))


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Do what a block of the page says: write its file, or add its line to the dictionary of that file."""

    def added(path):
        if path not in REGISTRIES:
            package, name = importlib.import_module(module_of(str(Path(path).parent))), module_of(path)
            (tmp_path / Path(path).name).write_text(BLOCKS[path])
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
            monkeypatch.delitem(sys.modules, name, raising=False)
            importlib.invalidate_caches()
            return
        module = importlib.import_module(module_of(path))
        registry = registry_in(module, REGISTRIES[path])
        lines = eval("{" + BLOCKS[path] + "}", vars(module))  # noqa: S307  our own page
        for key, entry in lines.items():
            assert key not in registry
            monkeypatch.setitem(registry, key, entry)

    return added


def test_a_cost(add):
    add("snas_nni/resources/cost_info.py")
    names = {}
    exec(compile(BLOCKS["a script"], "CONTRIBUTING.md", "exec"), names)
    costs, strategy = names["costs"], names["strategy"]
    assert costs["energy_nj"] == pytest.approx(0.001 * costs["macs"] + 0.02 * costs["memory_access"], rel=1e-12)

    example = torch.zeros(1, 3, 32, 32)
    plain = SNAS(seed=0)
    supernet = plain.mutate_model(importlib.import_module("search_spaces").SnasCellSpace(channels=4, cells=3))
    sample = plain.distribution.mode()
    counted = count_child(derive_child(supernet, sample), example)["energy_nj"]
    assert plain.cost_model(example).of(sample)["energy_nj"] == pytest.approx(counted, rel=1e-12)

    assert names["penalty"].costs == {"energy_nj": 1.0}
    assert names["strategy"].budget_controller.budget.bounds == {"energy_nj": 1000}
    expected = {label: row.detach().requires_grad_() for label, row in probabilities(strategy).items()}
    strategy.cost_model().cost("energy_nj", expected).backward()
    assert any(bool(row.grad.any()) for row in expected.values())


def probabilities(strategy):
    distribution = strategy.distribution
    return {label: distribution.rows_of(label).softmax(-1).flatten() for label in distribution.choices}


def test_a_data_source(add, tmp_path, monkeypatch):
    add("trials/data/waves.py")
    add("trials/settings/sources.py")
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^snas-nni (search --data\.source waves.*)$", PAGE, re.MULTILINE)
    small = "--space.init_args.channels 2 --space.init_args.cells 3 --search.batch_size 32 --output found --quiet"
    assert main([*shlex.split(command), *small.split()]) == 0
    summary = json.loads((tmp_path / "found" / "summary.json").read_text())
    assert summary["class_names"] == ["round", "square"]
    assert summary["settings"]["data"]["source"] == "waves"


def test_a_verb(add, tmp_path, capsys):
    add("trials/verbs/count.py")
    add("trials/cli.py")
    file = tmp_path / "architecture.json"
    save(published("mild"), file)
    assert main(["count", str(file)]) == 0
    assert capsys.readouterr().out == "28\n"
    assert main(["--help"]) == 0
    assert re.search(r"^  count +count the choices of an architecture.json$", capsys.readouterr().out, re.MULTILINE)
    assert main(["count", str(tmp_path / "nothing.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_every_block_is_followed():
    followed = {"trials/data/waves.py", "trials/verbs/count.py", "a script", *REGISTRIES}
    assert set(BLOCKS) == followed


def test_the_commands_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", PAGE)) | set(re.findall(r"`(bench-\w+)`", PAGE))
    assert {"check", "test", "test-fast", "test-faults", "docs", "site"} <= named <= targets
